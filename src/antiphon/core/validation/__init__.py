"""The rules of the API beyond the shape of a request, in its words.

Shapes and types were checked when the body was decoded. Rules are checked in the order in which
the API reports them, and the first one that is broken is raised; `request` has the order. Where the
reference is silent or guesses, the choice is in docs/decisions/0008-guesses-of-the-wire.md.
"""

from antiphon.core.validation.request import check_fits, prompt_for, prompt_to_count

__all__ = ["check_fits", "prompt_for", "prompt_to_count"]
