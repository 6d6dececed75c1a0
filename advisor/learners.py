"""Words for learners that are not networks: trees, support vectors, clusters, neighbours, principal components.

Each is a model of the workload file. Sizes that are left out have the default of the library.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from advisor.errors import InputError
from advisor.quantity import Model
from advisor.units import parse_count


def whole_number(value: object) -> object:
    """Accept 50e6, "50M" and 50.0 where a whole number is meant; leave anything else to the model's own check."""
    if isinstance(value, str):
        try:
            value = parse_count(value)
        except InputError as error:
            raise ValueError(f"{error.message}; accepted: {error.accepted}") from None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


Rows = Annotated[int, BeforeValidator(whole_number), Field(gt=0, le=10**13)]
Size = Annotated[int, BeforeValidator(whole_number), Field(gt=0, le=10**9)]
Extent = Annotated[int, BeforeValidator(whole_number), Field(ge=0, le=10**9)]
TreeDepth = Annotated[int, BeforeValidator(whole_number), Field(gt=0, le=64)]
Bins = Annotated[int, BeforeValidator(whole_number), Field(ge=2, le=65536)]
Share = Annotated[float, Field(gt=0, le=1)]


class Table(Model):
    """A table to learn from: ``rows`` samples of ``features`` columns."""

    rows: Rows
    features: Size
    values_per_row: Size | None = None
    """Values of a row that a sparse matrix holds (one-hot columns, bags of words); None: all, a dense table."""

    @property
    def values(self) -> int:
        """Stored values of one row."""
        return self.values_per_row or self.features

    @property
    def sparse(self) -> bool:
        """Whether rows hold fewer values than there are columns."""
        return self.values < self.features

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        if self.values > self.features:
            raise ValueError(f"values_per_row {self.values} is more than features {self.features}")
        return self


class Trees(Table):
    """Gradient-boosted trees that are grown from histograms of binned features."""

    library: Literal["xgboost", "lightgbm", "catboost"] = "xgboost"
    trees: Size = 100
    """Boosting rounds; with several classes each round grows one tree for each."""
    depth: TreeDepth | None = None
    """None: 6, or for LightGBM no limit but that of ``leaves``."""
    leaves: Size | None = None
    """None: 31 for LightGBM without a depth, else all that the depth allows."""
    bins: Bins | None = None
    """Bins of one column on average; None: 256, for CatBoost 128 (its default on a GPU)."""
    classes: Size = 1
    """1: regression or two classes."""

    @property
    def bin_count(self) -> int:
        """Bins of one column."""
        return self.bins or (128 if self.library == "catboost" else 256)

    @property
    def grown(self) -> int:
        """Trees of all rounds and classes; CatBoost's trees hold all classes in their leaves."""
        return self.trees * (self.classes if self.classes > 2 and self.library != "catboost" else 1)

    @property
    def leaf_count(self) -> int:
        """Leaves of one tree that depth and leaf limit allow."""
        if self.leaves is not None and self.depth is not None:
            return min(self.leaves, 1 << self.depth)
        if self.leaves is not None:
            return self.leaves
        if self.depth is None and self.library == "lightgbm":
            return 31
        return 1 << (self.depth or 6)


class RandomForest(Table):
    """Bagged trees, each on a bootstrap sample, that look at some features in each split."""

    trees: Size = 100
    depth: TreeDepth | None = None
    """None: grown until leaves are pure on a CPU (scikit-learn), 16 on a GPU (cuML)."""
    features_per_split: Size | None = None
    """None: the square root of the features, as for classification."""
    classes: Size = 2
    """1: regression."""

    @property
    def split_features(self) -> int:
        """Features that one split looks at."""
        return self.features_per_split or max(1, round(math.sqrt(self.features)))

    @model_validator(mode="after")
    def _split_fits(self) -> Self:
        if self.split_features > self.features:
            raise ValueError(
                f"features_per_split {self.features_per_split} is more than features {self.features}"
            )
        return self


class Svm(Table):
    """A support vector machine trained by sequential minimal optimisation."""

    kernel: Literal["linear", "poly", "rbf", "sigmoid"] = "rbf"
    classes: Size = 2
    """More than two are trained one against one. 1: regression."""
    support_vector_share: Share = 0.3
    """Rows that become support vectors; noisy classes have more, and take longer."""

    @property
    def problems(self) -> tuple[int, int]:
        """Number of two-class problems, and rows in each when classes are of equal size."""
        if self.classes <= 2:
            return 1, self.rows
        return self.classes * (self.classes - 1) // 2, max(1, round(2 * self.rows / self.classes))


class KMeans(Table):
    """Lloyd's algorithm: assign each row to its nearest centre, then move the centres."""

    library: Literal["cuml", "kmcuda"] = "cuml"
    """cuml: scikit-learn on a CPU. kmcuda: KMeansRex on a CPU."""
    clusters: Size = 8
    iterations: Size = 100
    """Passes until convergence, of one start."""
    starts: Size = 1

    @model_validator(mode="after")
    def _clusters_fit(self) -> Self:
        if self.clusters > self.rows:
            raise ValueError(f"clusters {self.clusters} is more than rows {self.rows}")
        return self


class Knn(Table):
    """Exact search: every query is compared with every row."""

    neighbours: Size = 5
    queries: Rows | None = None
    """None: every row is looked up once."""

    @property
    def query_count(self) -> int:
        """Rows that are looked up."""
        return self.queries or self.rows

    @model_validator(mode="after")
    def _neighbours_fit(self) -> Self:
        if self.neighbours > self.rows:
            raise ValueError(f"neighbours {self.neighbours} is more than rows {self.rows}")
        return self


class Pca(Table):
    """Principal component analysis."""

    components: Size | None = None
    """None: all, as many as features (or rows, where there are fewer)."""
    solver: Literal["auto", "covariance", "randomized"] = "auto"
    """auto: randomized for few components of many features, else the eigenvectors of the covariance matrix."""

    @property
    def component_count(self) -> int:
        """Components that are kept."""
        return self.components or min(self.features, self.rows)

    @property
    def effective_solver(self) -> Literal["covariance", "randomized"]:
        """The solver that runs."""
        if self.solver != "auto":
            return self.solver
        few = self.component_count < 0.8 * min(self.features, self.rows)
        return "randomized" if self.features > 1000 and few else "covariance"

    @model_validator(mode="after")
    def _components_fit(self) -> Self:
        if self.component_count > min(self.features, self.rows):
            raise ValueError(
                f"components {self.components} is more than features {self.features} or rows {self.rows}"
            )
        return self


Learner = Trees | RandomForest | Svm | KMeans | Knn | Pca
