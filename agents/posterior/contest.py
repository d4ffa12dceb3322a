"""Which of several views of media is followed: the one whose recommendation was preferred when last compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Answers after which what another view recommends is compared for the first time, and after another one has won; twice
# as many after every comparison it wins, up to so many times.
_PATIENCE_AT_FIRST = 20
_PATIENCE = 8
_DOUBLED = 3
# Answers between comparisons at least.
_SOONEST = 4
# How far another view has to be ahead before it is compared sooner.
_AHEAD = 0.5
# What a comparison says of the two, and the least that views are thought of.
_PREFERRED = 1.1
_LEAST = -2.0


class Contest:
    """One of several views is followed, in what is asked and recommended; now and then it has to defend itself.

    Views are ahead of the followed one, or behind, by logarithms of odds. A view comes nearer that foretells answers
    which the followed one could not foretell, for it has chosen the questions so. That alone is not enough: once it is
    ahead, or after a number of answers that doubles with every such defence, the user is asked to compare what both
    recommend.

    Args:
        views: by name; the first is followed to begin with.

    Attributes:
        followed: the view that is.
    """

    def __init__(self, views: Sequence[str]) -> None:
        self.followed = views[0]
        self._ahead = dict.fromkeys(views, 0.0)
        self._defended = 0
        self._since = 0
        self._patience = _PATIENCE_AT_FIRST

    @property
    def ahead(self) -> dict[str, float]:
        """How far the other views are ahead of the followed one, in orders of e."""
        return {view: ahead for view, ahead in self._ahead.items() if view != self.followed}

    def hear(self, foretold: Mapping[str, float]) -> None:
        """Takes an answer, which views foretold so much better than a coin, in orders of e."""
        self._since += 1
        self._ahead = {
            view: 0.0 if view == self.followed else max(ahead + foretold[view], _LEAST)
            for view, ahead in self._ahead.items()
        }

    @property
    def challenger(self) -> str | None:
        """The view whose recommendation is to be compared next with that of the followed one, None for now."""
        ahead = self.ahead
        if not ahead:
            return None
        view = max(ahead, key=ahead.__getitem__)
        is_ahead = self._since >= _SOONEST and ahead[view] > _AHEAD
        return view if is_ahead or self._since >= self._patience * 2**self._defended else None

    def decide(self, preferred: Mapping[str, float]) -> None:
        """Takes how the recommendations of the followed and another view compared.

        Args:
            preferred: weights on the one and on the other, by their views.
        """
        (challenger,) = preferred.keys() - {self.followed}
        told = _PREFERRED * (preferred[challenger] - preferred[self.followed])
        self._since = 0
        ahead = max(self._ahead[challenger] + told, _LEAST)
        self._ahead = self._ahead | {challenger: ahead}
        if told < 0:
            self._defended = min(self._defended + 1, _DOUBLED)
        elif told > 0 and ahead > 0:
            self.followed, self._defended, self._patience = challenger, 0, _PATIENCE
            self._ahead = {view: max(other - ahead, _LEAST) for view, other in self._ahead.items()}
        elif told > 0:
            self._defended = 0
