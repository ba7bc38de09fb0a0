"""Every figure of the report as SQL: what the page shows is what these queries give, and it shows the queries too."""

from __future__ import annotations

from typing import NamedTuple

from causalprint.pipelines.html_report.spectra import PHOTOGRAPHS, mean_spectra, measurements

MOST_FINDS = 50
"""Finds that are listed one by one."""
MOST_PLACES = 20
"""Shards, domains, sources and incomplete shards that are listed."""
MOST_CONFLICTS = 20
BINS = 20
"""Of the histogram."""
PICTURES = {"pictures_surest": 24, "pictures_abstained": 12, "pictures_cleared": 24}
"""Queries whose images are shown, and how many of each at most."""


class Query(NamedTuple):
    """One figure.

    Attributes:
        name: of the figure on the page.
        about: what it answers.
        sql: over the views of :func:`~causalprint.pipelines.open_audit.open_audit` and what :func:`~.prelude.prelude` made.
    """

    name: str
    about: str
    sql: str


def queries(accused: tuple[float, float, float] | None, *, claims: bool, conflicts: bool) -> tuple[Query, ...]:
    """All figures, in the order of the page.

    Args:
        accused: by the bundle's card, the share of photographs that it takes for generated, and its 95 % interval.
        claims: whether the tables say what files claim of themselves.
        conflicts: whether they say where that and the verdict disagree.
    """
    told = [*_ANSWER, *(_expected(*accused) if accused else ()), *_FINDS, *_PLACES, *_CERTAINTY, *_BANDS]
    return (*told, *(_CLAIMS if claims else ()), *(_CONFLICTS if claims and conflicts else ()), *_LOSSES, *_SPECTRA)


def pictures() -> tuple[Query, ...]:
    """The images of the contact sheets. An image's id is a digest of its bytes, and so its order is as good as chance."""
    columns = 'image_id, outcome, who, generated_probability, log_likelihood_ratio, shard, member, "offset"'
    shown = f"SELECT DISTINCT ON (image_id) {columns}"
    first = 'ORDER BY image_id, shard, member, "offset"'
    told = {
        "pictures_surest": ("The surest finds", "outcome = 'generated'", "log_likelihood_ratio DESC, image_id"),
        "pictures_abstained": ("A random draw of what could not be decided", "outcome = 'undecided'", "image_id"),
        "pictures_cleared": ("A random draw of what was cleared", "outcome IN ('photograph', 'graphic')", "image_id"),
    }
    return tuple(
        Query(
            name, about, f"FROM ({shown} FROM findings_told WHERE {where}\n      {first}) ORDER BY {order} LIMIT {PICTURES[name]}"
        )
        for name, (about, where, order) in told.items()
    )


def _percent(part: str, whole: str) -> str:
    return f"100.0 * {part} / nullif({whole}, 0)"


_COUNTS = f"""count(*) AS images,
       count(*) FILTER (outcome = 'generated') AS taken,
       {_percent("count(*) FILTER (outcome = 'generated')", "count(*)")} AS percent_taken,
       count(*) FILTER (outcome IN ('photograph', 'graphic')) AS cleared,
       count(*) FILTER (outcome IN ('undecided', 'not judged')) AS undecided"""

_ANSWER = (
    Query(
        "answer",
        "How many images were read, and what was said of them",
        f"""
SELECT *, photographs + graphics AS cleared, least(taken, {MOST_FINDS}) AS listed,
       {_percent("taken", "read")} AS percent_taken, {_percent("photographs", "read")} AS percent_photographs,
       {_percent("graphics", "read")} AS percent_graphics, {_percent("undecided", "read")} AS percent_undecided,
       {_percent("not_judged", "read")} AS percent_not_judged, {_percent("refused", "seen")} AS percent_refused
FROM (SELECT count(*) + (SELECT count(*) FROM refused) AS seen, count(*) AS read, count(DISTINCT image) AS different,
             (SELECT count(*) FROM refused) AS refused,
             count(*) FILTER (outcome = 'generated') AS taken, count(*) FILTER (outcome = 'photograph') AS photographs,
             count(*) FILTER (outcome = 'graphic') AS graphics, count(*) FILTER (outcome = 'undecided') AS undecided,
             count(*) FILTER (outcome = 'not judged') AS not_judged
      FROM found)""",
    ),
    Query(
        "by_whom",
        "Whom the images that are taken for generated are attributed to",
        f"""
SELECT who, count(*) AS images, {_percent("count(*)", "sum(count(*)) OVER ()")} AS percent_of_these,
       {_percent("count(*)", "(SELECT count(*) FROM found)")} AS percent_of_read,
       median(generated_probability) AS median_probability
FROM found WHERE outcome = 'generated' GROUP BY who ORDER BY images DESC, who LIMIT {MOST_PLACES}""",
    ),
)


def _expected(value: float, low: float, high: float) -> tuple[Query]:
    """How many finds are to be expected where nothing is generated at all."""
    return (
        Query(
            "expected",
            "How many finds this bundle would make if none of the images it judged were generated, by its own test",
            f"""
SELECT count(*) AS judged, round({value} * count(*))::BIGINT AS false_finds,
       floor({low} * count(*))::BIGINT AS low, ceil({high} * count(*))::BIGINT AS high
FROM found WHERE outcome <> 'not judged'""",
        ),
    )


_FINDS = (
    Query(
        "finds",
        "The surest finds, the strongest evidence first",
        f"""
SELECT who, probability, generated_probability, log_likelihood_ratio, url, domain,
       claim_kind, claim_source, shard, member, "offset", image_id
FROM findings_told WHERE outcome = 'generated'
ORDER BY log_likelihood_ratio DESC, image_id, shard, member, "offset" LIMIT {MOST_FINDS}""",
    ),
)

_PLACES = (
    Query(
        "shards",
        "In how many files of the dataset something was found",
        """
SELECT count(*) AS shards, count(*) FILTER (taken > 0) AS with_finds
FROM (SELECT shard, count(*) FILTER (outcome = 'generated') AS taken FROM found GROUP BY shard)""",
    ),
    Query(
        "by_shard",
        "The files of the dataset with the most finds",
        f"""
SELECT shard, {_COUNTS}
FROM found GROUP BY shard ORDER BY taken DESC, percent_taken DESC, shard LIMIT {MOST_PLACES}""",
    ),
    Query(
        "by_domain",
        "The web sites with the most finds",
        f"""
SELECT coalesce(domain, '(no address known)') AS domain, {_COUNTS}
FROM found GROUP BY ALL ORDER BY taken DESC, percent_taken DESC, domain LIMIT {MOST_PLACES}""",
    ),
)

_CERTAINTY = (
    Query(
        "histogram",
        "How many images have which probability of being generated",
        f"""
SELECT bin / {BINS} AS low, (bin + 1) / {BINS} AS high, count(*) AS images,
       count(*) FILTER (outcome IN ('photograph', 'graphic')) AS cleared, count(*) FILTER (outcome = 'undecided') AS undecided,
       count(*) FILTER (outcome = 'generated') AS taken
FROM (SELECT outcome, least(floor(generated_probability * {BINS})::BIGINT, {BINS - 1}) AS bin
      FROM found WHERE generated_probability IS NOT NULL)
GROUP BY bin ORDER BY bin""",
    ),
    Query(
        "abstentions",
        "Why nothing was said of an image that was read",
        f"""
SELECT reason, count(*) AS images, {_percent("count(*)", "(SELECT count(*) FROM found)")} AS percent_of_read
FROM found WHERE outcome IN ('undecided', 'not judged') GROUP BY reason ORDER BY images DESC, reason""",
    ),
)


def _bands(name: str, about: str, column: str, band: str, order: str) -> Query:
    select = f"{band} AS {column}, {_COUNTS}, {_percent('count(*)', '(SELECT count(*) FROM found)')} AS percent_of_read"
    return Query(name, about, f"\nSELECT {select}\nFROM found GROUP BY ALL ORDER BY {order}")


_BANDS = (
    _bands("by_format", "What was found in which file format", "format", "format", "images DESC, format"),
    _bands(
        "by_side",
        "What was found among small and large images",
        "shorter_side",
        "CASE WHEN side < 256 THEN '1 to 255' WHEN side < 512 THEN '256 to 511' WHEN side < 1024 THEN '512 to 1023' "
        "WHEN side < 2048 THEN '1024 to 2047' ELSE '2048 or more' END",
        "min(side)",
    ),
    _bands(
        "by_quality",
        "What was found at which quality of JPEG compression",
        "jpeg_quality",
        "CASE WHEN jpeg_quality IS NULL THEN 'no JPEG, or unknown' WHEN abs(jpeg_quality) < 50 THEN '1 to 49' "
        "WHEN abs(jpeg_quality) < 70 THEN '50 to 69' WHEN abs(jpeg_quality) < 85 THEN '70 to 84' "
        "WHEN abs(jpeg_quality) < 95 THEN '85 to 94' ELSE '95 to 100' END",
        "min(abs(jpeg_quality)) NULLS LAST",
    ),
    _bands(
        "by_resampled",
        "What was found among images that were resized before they were stored",
        "resized",
        "CASE WHEN resampled THEN 'yes' WHEN NOT resampled THEN 'no' ELSE 'not known' END",
        "resized",
    ),
)

_CLAIMS = (
    Query(
        "claims",
        "What files say of themselves, beside what the bundle says",
        f"""
SELECT coalesce(claim_kind, '(nothing)') AS claim, claim_source AS claimed_by, {_COUNTS}
FROM found GROUP BY claim_kind, claim_source
ORDER BY claim_kind IS NULL, claim_kind IS DISTINCT FROM 'generated', images DESC, claim_kind, claim_source
LIMIT {MOST_PLACES}""",
    ),
    Query(
        "claimed",
        "How the bundle does on images whose files say where they are from",
        f"""
SELECT generated, found_too, {_percent("found_too", "generated")} AS percent_found, camera, accused,
       {_percent("accused", "camera")} AS percent_accused, {_percent("found_too", "(found_too + accused)")} AS percent_right
FROM (SELECT count(*) FILTER (claim_kind = 'generated') AS generated,
             count(*) FILTER (claim_kind = 'generated' AND outcome = 'generated') AS found_too,
             count(*) FILTER (claim_kind = 'camera') AS camera,
             count(*) FILTER (claim_kind = 'camera' AND outcome = 'generated') AS accused
      FROM found)""",
    ),
)
_CONFLICTS = (
    Query(
        "conflicts",
        "Images whose file and the bundle contradict each other",
        f"""
SELECT claim_kind AS claim, claim_source AS claimed_by, outcome, who, generated_probability, shard, member, image_id,
       count(*) OVER () AS conflicts
FROM findings_told WHERE conflict
ORDER BY claim DESC, abs(generated_probability - 0.5) DESC, image_id, shard, member, "offset" LIMIT {MOST_PLACES}""",
    ),
)

_LIMITED = "(image_limit IS NOT NULL AND (damage LIKE 'stopped at --limit%' OR damage LIKE '%drawn by --sample'))"
"""Of a shard that was not read whole, whether it was asked to be."""
_LOSSES = (
    Query(
        "rejects",
        "What could not be read, and why",
        f"""
SELECT stage, reason, count(*) AS images,
       {_percent("count(*)", "((SELECT count(*) FROM refused) + (SELECT count(*) FROM found))")} AS percent_of_seen,
       min_by(detail, (shard, member)) AS example
FROM refused GROUP BY stage, reason ORDER BY images DESC, stage, reason""",
    ),
    Query(
        "accounts",
        "Whether every image that was met is accounted for",
        f"""
SELECT count(*) AS shards, count(*) FILTER (complete) AS complete,
       count(*) FILTER (NOT complete AND {_LIMITED}) AS limited,
       count(*) FILTER (NOT complete AND NOT {_LIMITED}) AS incomplete,
       coalesce(sum(seen), 0)::BIGINT AS seen, coalesce(sum(attributed), 0)::BIGINT AS attributed,
       coalesce(sum(rejected), 0)::BIGINT AS rejected, coalesce(sum(forgotten), 0)::BIGINT AS forgotten,
       coalesce(sum(skipped), 0)::BIGINT AS skipped,
       coalesce(sum(size), 0)::BIGINT AS bytes
FROM accounts""",
    ),
    Query(
        "incomplete",
        "Which files of the dataset were not read to their end",
        f"""
SELECT uri AS shard, damage, retryable, seen FROM accounts WHERE NOT complete AND NOT {_LIMITED}
ORDER BY uri LIMIT {MOST_PLACES}""",
    ),
    Query(
        "skipped",
        "What lies in the dataset's files and is no image",
        f"""
SELECT kind.kind AS kind, sum(kind.members)::BIGINT AS members
FROM (SELECT unnest(skipped_kinds) AS kind FROM accounts) GROUP BY ALL ORDER BY members DESC, kind LIMIT {MOST_PLACES}""",
    ),
)

_GROUPS = f"""SELECT slice_id, member, "offset", CASE outcome WHEN 'generated' THEN who WHEN 'photograph' THEN '{PHOTOGRAPHS}'
             WHEN 'graphic' THEN 'cleared as a graphic' ELSE 'undecided' END AS group_name FROM findings_told"""
_SPECTRA = (
    Query(
        "spectra",
        "What is measured in the residuals of those taken for generated, and of the others",
        f"{measurements(_GROUPS)} LIMIT {MOST_PLACES}",
    ),
    Query(
        "mean_spectra",
        "How strong detail of each size is in the residuals of those taken for generated, and of those cleared as photographs",
        mean_spectra(_GROUPS + " WHERE outcome IN ('generated', 'photograph')") + f" LIMIT {MOST_PLACES}",
    ),
)
