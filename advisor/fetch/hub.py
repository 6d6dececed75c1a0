"""Asks the Hugging Face hub for the config of a model, and keeps the answer.

    hub/<organisation>--<model>[@<revision>]/model.json     in the user's folder

A copy that is there is used and nobody is asked; its date goes with it. One that a mirror gave counts for that mirror:
where another hub can be asked it is, else the copy is used with a warning. No token is read, kept or sent: of gated
repositories the hub says how large they are, not what they look like.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field

from advisor.documents import Document
from advisor.errors import AdvisorError, ExternalError, InputError, nearest
from advisor.fetch.http import Http, StoppedError
from advisor.fetch.json_body import json_object
from advisor.fetch.safetensors import StoredWeights, weights_in_headers, weights_told
from advisor.hub_model import HubModel, HubName, is_hub_id, parse_hub_id
from advisor.units import plain
from advisor.whole_file import write_text_file
from advisor.yaml_io import MAX_BYTES, parse_json, read_text, validate

ENDPOINT = "https://huggingface.co"
ENDPOINT_VARIABLE = "HF_ENDPOINT"
"""Names a mirror, as for the hub's own tools."""

FOLDER = "hub"
CONFIG = "config.json"
CONFIG_LIMIT_BYTES = 2 * 2**20

_FIELD = "model.huggingface"
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_BY_HAND = "download its config.json yourself and give the path as model.huggingface"


class HubCopy(Document):
    """A kept answer of the hub."""

    schema_: Literal["gpu-advisor/hub-model/1"] = Field(default="gpu-advisor/hub-model/1", alias="schema")
    model: HubModel
    etag: str | None = None


class Hub:
    """The hub, as a user without an account sees it.

    Args:
        folder: the user's; copies lie below it.
        http: opens a connection; None where nobody may be asked, so that only copies are used.
        base_url: of the hub; left out it is what ``HF_ENDPOINT`` names, else huggingface.co.
        today: for the date of answers; that of the machine when left out.
        shipped: names of shipped models, to suggest one where the hub has none.
    """

    def __init__(
        self,
        folder: Path,
        http: Callable[[], Http] | None,
        base_url: str | None = None,
        *,
        today: datetime.date | None = None,
        shipped: Iterable[str] = (),
    ) -> None:
        named = os.environ.get(ENDPOINT_VARIABLE, "").strip()
        self._folder = folder / FOLDER
        self._http = http
        self._base_url = (base_url or named or ENDPOINT).rstrip("/")
        self._origin = plain(self._base_url.partition("://")[2])
        self._today = today or datetime.date.today()
        self._shipped = tuple(shipped)

    def model(self, name: str, *, refresh: bool = False) -> HubModel:
        """Return what the hub says of a model: the copy at hand, else the hub's answer.

        Args:
            name: ``organisation/model`` or ``organisation/model@revision``.
            refresh: ask even where there is a copy.

        Raises:
            InputError: not such a name, no such repository, or one without a config of a single model.
            ExternalError: the hub is not reached and there is no copy, or the repository is closed.
        """
        wanted = parse_hub_id(name)
        copy, fault = self._kept(wanted)
        if copy is not None and copy.model.origin != self._origin:
            if self._http is None:
                said = f"{copy.model.origin} said this, not {self._origin}, which models fetch asks"
                return _warned(copy.model, said)
            # What another hub said is no copy of what this one says, and its mark means something else here.
            copy = None
        if copy is not None and not refresh:
            return copy.model
        try:
            found = self._ask(wanted, copy)
        except StoppedError:
            raise
        except ExternalError as error:
            raise _explained(error, copy, fault) from None
        return found if fault is None else _warned(found, f"{fault}; the hub was asked again")

    def _kept(self, wanted: HubName) -> tuple[HubCopy | None, str | None]:
        """Return the copy, and why it cannot be used where there is one that is broken."""
        path = self._path(wanted)
        if not path.exists():
            return None, None
        try:
            copy = validate(HubCopy, parse_json(read_text(path), str(path)), str(path))
        except AdvisorError as error:
            return None, f"{path}: the copy of the hub's answer cannot be used ({error.message})"
        same = copy.model.name.casefold() == wanted.repository.casefold()
        if not same or copy.model.revision != wanted.revision:
            return None, f"{path}: the copy of the hub's answer is that of another model ({copy.model.name})"
        return copy, None

    def _ask(self, wanted: HubName, copy: HubCopy | None) -> HubModel:
        if self._http is None:
            raise ExternalError(
                f"{wanted.repository}: not fetched from the hub yet",
                hint=f"gpu-advisor models fetch {wanted.text} asks the hub; or {_BY_HAND}",
            )
        with self._http() as http:
            revision = "" if wanted.revision is None else f"/revision/{quote(wanted.revision, safe='')}"
            url = f"{self._base_url}/api/models/{wanted.repository}{revision}"
            reply = http.get(url, etag=copy.etag if copy else None, limit_bytes=MAX_BYTES)
            if reply.status == 304 and copy is not None:
                model = copy.model.model_copy(update={"date": self._today})
                return self._keep(wanted, copy.model_copy(update={"model": model}))
            if reply.status == 404:
                raise self._unknown(wanted)
            if not reply.found:
                raise self._closed(
                    wanted, "private, or there is none of this name: the hub does not say which"
                )
            model = self._described(http, wanted, json_object(reply.body, url))
        return self._keep(wanted, HubCopy(model=model, etag=reply.etag))

    def _described(self, http: Http, wanted: HubName, about: Mapping[str, object]) -> HubModel:
        told = about.get("sha")
        commit = told if isinstance(told, str) and _COMMIT.fullmatch(told) else None
        files = _files(about)
        place = quote(commit or wanted.revision or "main", safe="")
        base_url = f"{self._base_url}/{wanted.repository}/resolve/{place}"
        reply = http.get(f"{base_url}/{CONFIG}", limit_bytes=CONFIG_LIMIT_BYTES)
        if reply.status == 404:
            raise _without_config(http, wanted, about, files, base_url)
        if not reply.found:
            raise self._closed(wanted, "gated: its files are for accounts that accepted its terms")
        config = json_object(reply.body, f"{base_url}/{CONFIG}")
        weights, warnings = weights_told(about), []
        if weights is None:
            try:
                weights = weights_in_headers(http, base_url, files)
            except StoppedError:
                raise
            except ExternalError as error:
                warnings.append(f"the weights of {wanted.repository} were not counted: {error.message}")
        weights = weights or StoredWeights(0, {})
        return HubModel(
            name=wanted.repository,
            revision=wanted.revision,
            commit=commit,
            config=config,
            parameters=weights.elements or None,
            weight_dtypes=weights.by_dtype,
            date=self._today,
            origin=self._origin,
            warnings=tuple(warnings),
        )

    def _keep(self, wanted: HubName, copy: HubCopy) -> HubModel:
        path = self._path(wanted)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text_file(path, copy.model_dump_json(), replace=True)
        except (OSError, ExternalError) as error:
            return _warned(copy.model, f"the hub's answer could not be kept: {plain(str(error))}")
        return copy.model

    def _path(self, wanted: HubName) -> Path:
        return self._folder / wanted.folder / "model.json"

    def _similar(self, wanted: HubName) -> tuple[str, ...]:
        return nearest(wanted.model.replace("_", "-"), self._shipped)

    def _unknown(self, wanted: HubName) -> InputError:
        what = wanted.repository if wanted.revision is None else f"{wanted.repository}@{wanted.revision}"
        return InputError(
            "the hub has no such repository or revision",
            field=_FIELD,
            value=what,
            candidates=self._similar(wanted),
            hint="shipped models are named under model.name",
        )

    def _closed(self, wanted: HubName, reason: str) -> ExternalError:
        similar = self._similar(wanted)
        shipped = (
            f"; or name a shipped model under model.name, such as {', '.join(similar)}" if similar else ""
        )
        return ExternalError(
            f"{wanted.repository}: the repository is {reason}",
            hint=f"accept its terms on the hub, then {_BY_HAND}{shipped}",
        )


def _explained(error: ExternalError, copy: HubCopy | None, fault: str | None) -> ExternalError:
    """Return the error with the way out."""
    message = error.message if fault is None else f"{error.message}; {fault}"
    kept = None if copy is None else f"without a refresh the copy of {copy.model.date.isoformat()} is used"
    return ExternalError(message, hint=error.hint or kept or _BY_HAND)


def _warned(model: HubModel, warning: str) -> HubModel:
    return model.model_copy(update={"warnings": (*model.warnings, warning)})


def _files(about: Mapping[str, object]) -> frozenset[str]:
    """Return the names of the files of a repository."""
    siblings = about.get("siblings")
    names = (
        [item.get("rfilename") for item in siblings if isinstance(item, dict)]
        if isinstance(siblings, list)
        else []
    )
    return frozenset(name for name in names if isinstance(name, str))


def _without_config(
    http: Http, wanted: HubName, about: Mapping[str, object], files: frozenset[str], base_url: str
) -> InputError:
    """Return what a repository holds instead of a config."""
    accepted = "a repository with a config.json at its top"
    base = _base_model(about)
    if "adapter_config.json" in files:
        reply = http.get(f"{base_url}/adapter_config.json", limit_bytes=CONFIG_LIMIT_BYTES)
        told = json_object(reply.body, base_url).get("base_model_name_or_path") if reply.found else None
        base = told if isinstance(told, str) and is_hub_id(told) else base
        reason = "this repository holds an adapter only, which is trained on top of another model"
    elif "model_index.json" in files:
        parts = sorted(
            {name.partition("/")[0] for name in files if name.count("/") == 1 and name.endswith(f"/{CONFIG}")}
        )
        reason = (
            f"this repository holds a pipeline of several networks ({', '.join(parts)}), and none at its top"
        )
        accepted = f"{accepted}; for one of its networks a shipped model, or model.torch"
        base = None
    elif any(name.lower().endswith(".gguf") for name in files):
        reason = "this repository holds GGUF files only, without a config.json"
    else:
        reason = "this repository has no config.json"
    hint = f"give the model that it was made from: {base}" if base else None
    return InputError(reason, field=_FIELD, value=wanted.repository, accepted=accepted, hint=hint)


def _base_model(about: Mapping[str, object]) -> str | None:
    """Return the model that this one was made from, as the tags say it."""
    tags = about.get("tags")
    for tag in tags if isinstance(tags, list) else ():
        if (
            isinstance(tag, str)
            and tag.startswith("base_model:")
            and is_hub_id(name := tag.rpartition(":")[2])
        ):
            return name
    return None
