"""A vendor's outage: one incident (key `vendor:anthropic`) from our own errors and from what its status page says.

Our errors weigh more: proven as in `availability.py` they are critical whatever the page says. A page alone is told as
a warning at most; one that cannot be read is unknown, and a warning too when that lasts for hours. A service's requests
to a vendor that is out are left out of its own availability (`is_out`), so one outage pages once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ops.monitoring.alerts import Condition, Json, Status, Summary, Tier, percent
from ops.monitoring.metrics import FAILURE_BUDGET
from ops.monitoring.rules.availability import AVAILABILITY_LIMIT, Judged, judge, too_few
from ops.monitoring.traffic import NOT_IN_USE, SUCCESS, WINDOWS, Cell, Shares, failures, grouped
from ops.monitoring.vendor_status import UNREADABLE_AFTER, PageState, Reading
from ops.proportions import Share

NO_SIGN = frozenset({"rate_limit", "client"})  # our own fault or limit: it tells nothing of an outage
ANSWERED = frozenset({SUCCESS, "content_filter"})
TIERS = {  # of what a page says, without requests of ours that show more
    PageState.MAJOR_OUTAGE: Tier.WARNING, PageState.PARTIAL_OUTAGE: Tier.WARNING,
    PageState.DEGRADED: Tier.INFO, PageState.MAINTENANCE: Tier.INFO,
}  # fmt: skip
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Fallback:
    """Who stands in, as the settings name it, and how that vendor's own requests went in the last hour."""

    model: str  # vendor/model
    one_hour: Share

    def __str__(self) -> str:
        vendor = self.model.split("/", 1)[0]
        if not self.one_hour.n:
            return f"{self.model}; no requests to {vendor} in 1 h"
        return f"{self.model}; {self.one_hour.hits:,} of {self.one_hour.n:,} requests to {vendor} failed in 1 h"


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorSample:
    """What we know of a vendor: our requests to it, its status page, and whether its outage was told already."""

    vendor: str
    cells: Sequence[Cell] = ()
    reading: Reading | None = None  # None: no status page is configured
    fallback: Fallback | None = None
    is_paged: bool = False  # a critical incident is open
    is_idle: bool = False  # nobody has asked it for a week

    @property
    def telling(self) -> list[Cell]:
        """The requests that show whether the vendor answers."""
        return [cell for cell in self.cells if cell.outcome not in NO_SIGN]

    @property
    def shares(self) -> Shares:
        """What failed of them, in each window."""
        return failures(self.telling, ANSWERED)


def evaluate(sample: VendorSample) -> Condition:
    """Breach by our errors as critical; by the page alone, or because it cannot be read for long, as a warning or less.

    What we measure ends what we paged: a page that lingers must not hold the incident open, or the next outage of the
    vendor would page nobody. Without any requests of ours the page is all there is.
    """
    judged = judge(sample.shares)
    state = sample.reading.state if sample.reading else PageState.UNKNOWN
    if judged is not None and judged.is_breach:
        return _condition(sample, judged, judged.summary(), Tier.CRITICAL)
    if judged is not None and sample.is_paged:
        return _condition(sample, judged, judged.summary())
    if state in TIERS:
        return _condition(sample, judged, Summary("Status page", f"says {state}", "operational"), TIERS[state])
    if sample.is_idle and sample.reading is None:
        return _condition(sample, judged, Summary("Availability", NOT_IN_USE, percent(AVAILABILITY_LIMIT)))
    if sample.reading is not None and sample.reading.is_unreadable:
        return _condition(sample, judged, _unreadable(sample.reading), Tier.WARNING)
    untold = state is PageState.UNKNOWN and sample.reading is not None
    unused = sample.shares[-1].n == 0 and state is PageState.OPERATIONAL
    if untold or (judged is None and not unused):
        return _condition(sample, judged, _unknown(sample, judged), status=Status.INSUFFICIENT_DATA)
    fine = Summary("Status page", f"says {state}", "operational") if judged is None else judged.summary()
    return _condition(sample, judged, fine)


def is_out(sample: VendorSample) -> bool:
    """Whether our requests to a vendor belong to an incident of its own."""
    return sample.is_paged or evaluate(sample).tier is Tier.CRITICAL


def _condition(
    sample: VendorSample, judged: Judged | None, summary: Summary, tier: Tier | None = None, status: Status = Status.OK
) -> Condition:
    return Condition(
        rule="vendor",
        key=f"vendor:{sample.vendor}",
        status=status if tier is None else Status.BREACH,
        tier=tier,
        value=judged.rate if judged else sample.shares[-1].rate,
        limit=judged.limit if judged else FAILURE_BUDGET,
        unit="share",
        summary=summary,
        evidence=_evidence(sample, judged),
        near_limit=judged is not None and judged.near_limit,
    )


def _unreadable(reading: Reading) -> Summary:
    hours = UNREADABLE_AFTER / timedelta(hours=1)
    return Summary("Status page", f"not readable since {reading.failing_since:%Y-%m-%d %H:%M} UTC", f"{hours:g} h")


def _unknown(sample: VendorSample, judged: Judged | None) -> Summary:
    if judged is None:
        return Summary("Availability", too_few(sample.shares[-1]), percent(AVAILABILITY_LIMIT))
    return Summary("Status page", "unknown", "operational")


def _evidence(sample: VendorSample, judged: Judged | None) -> dict[str, Json]:
    window = WINDOWS.index(judged.window) if judged else -1
    facts = judged.facts() if judged else {"blast_radius": too_few(sample.shares[-1])}
    told: dict[str, Json] = {"blast_radius": facts.pop("blast_radius")}
    if judged is not None and judged.is_breach:
        told["blast_radius"] = f"{told['blast_radius']}: {_worst(sample, window, lambda cell: cell.service)}"
        told["models"] = _worst(sample, window, lambda cell: cell.model)
        told["errors"] = _outcomes(sample.telling, window, ANSWERED)
    else:
        told["models_in_use"] = ", ".join(grouped(sample.cells, lambda cell: cell.model)) or "none in 6 h"
    told["status_page"] = sample.reading.words() if sample.reading else "none configured"
    told["fallback"] = str(sample.fallback or "none configured")
    not_counted = _outcomes([cell for cell in sample.cells if cell.outcome in NO_SIGN], window)
    return {**told, **({"not_counted": not_counted} if not_counted else {}), **facts}


def _worst(sample: VendorSample, window: int, name: Callable[[Cell], str]) -> str:
    """Name what fails more often than it may, what fails most first: `gpt-4o 40 of 50, gpt-4o-mini 5 of 10`."""
    parts = {key: failures(cells, ANSWERED)[window] for key, cells in grouped(sample.telling, name).items()}
    failing = [(share.hits, f"{key} {share.hits:,} of {share.n:,}") for key, share in parts.items()
               if share.n and share.hits / share.n > FAILURE_BUDGET]  # fmt: skip
    words = [told for _, told in sorted(failing, key=lambda pair: -pair[0])]
    return ", ".join(words[:_NAMED]) + (f" and {len(words) - _NAMED:,} more" if len(words) > _NAMED else "")


def _outcomes(cells: Sequence[Cell], window: int, passed: frozenset[str] = frozenset()) -> str:
    """Count what is not passed by its kind: `server 40, timeout 5`."""
    counts = {outcome: failures(some, passed)[window].hits
              for outcome, some in grouped(cells, lambda cell: cell.outcome).items()}  # fmt: skip
    return ", ".join(f"{outcome.replace('_', ' ')} {count:,}" for outcome, count in counts.items() if count)
