"""The cheapest set of GPUs, bought and rented, for several workloads together. Plain numbers in, documents out.

:mod:`~advisor.fleet.market` holds what is asked and offered; :mod:`~advisor.fleet.options` turns it into choices in
whole cents and minutes; :mod:`~advisor.fleet.dominance` drops what cannot win; :mod:`~advisor.fleet.solver` picks a
:mod:`~advisor.fleet.plan`; :mod:`~advisor.fleet.decision` asks the solver what people ask next (the runner-up, all
rented, a larger budget); :mod:`~advisor.fleet.answer` writes the document, with the words of
:mod:`~advisor.fleet.reasons`, :mod:`~advisor.fleet.remarks` and :mod:`~advisor.fleet.unmet`.
"""
