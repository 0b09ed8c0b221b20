"""Which phases must be done before which, as far as the section on dependencies says it for sure. It never fails.

Two forms are understood, a line at a time: `Phase 4 depends on Phase 3` (also `can start after`), and chains, `Setup -> Phase 2 -> US1`.
"""

from .text import WHITESPACE, Hidden, lines
from .words import SENTENCE, SEPARATOR, is_task_id, tokens

# The last one is what some editors have made of the second.
ARROWS = ("->", "→", "‚Üí")
# Words that make a statement less than sure.
HEDGES = {"or", "may", "might", "could", "if", "optional", "optionally", "not", "never", "no", "t"}
# Names that Spec Kit's template gives to phases, which are their titles' first words.
NAMES = {"setup", "foundational", "polish"}
# Most phases, lines of the section, and characters of a line: a list that has more was written to cost time.
PHASES, LINES, LENGTH = 50, 200, 1000
# Shortest word by which a link of a chain is known as the phase at its place.
SHORTEST = 3


def phase_heading(heading: str) -> str | None:
    """What follows the word `Phase` in the heading of one; None for another heading."""
    if not heading.startswith("Phase "):
        return None
    rest = heading[len("Phase ") :].lstrip(WHITESPACE)
    return rest if rest.startswith("N:") or "0" <= rest[:1] <= "9" else None


def read(text: str, phases: list) -> list[list[str]]:
    """For each phase the numbers of those that it depends on, in the order of the file."""
    if len(phases) > PHASES:
        return [[] for _ in phases]
    known = _Phases(phases)
    before: list[set[int]] = [set() for _ in phases]
    for line in _section(text):
        for later, earlier in known.statements(line):
            before[later].add(earlier)
    told = []
    for own, earlier in enumerate(before):
        numbers = dict.fromkeys(phases[index].number for index in sorted(earlier))
        told.append([number for number in numbers if number != phases[own].number])
    return told


def _section(text: str) -> list[str]:
    """Lines below a heading such as `## Dependencies & Execution Order`."""
    found, inside, hidden = [], False, Hidden()
    for line in lines(text):
        if hidden.hides(line):
            continue
        if line.startswith(("## ", "# ")):
            heading = line.lstrip("#")[1:].strip(WHITESPACE)
            about = not {"dependencies", "dependency"}.isdisjoint(tokens(heading))
            inside = line.startswith("## ") and about and phase_heading(heading) is None
        elif inside:
            found.append(line)
    return [line for line in found[:LINES] if len(line) <= LENGTH]


class _Phases:
    """The phases of a list, and the ways in which text speaks of them."""

    def __init__(self, phases: list) -> None:
        self.numbers = [phase.number.lower() for phase in phases]
        self.titles = [tokens(phase.title) for phase in phases]
        self.stories = [title[2] if len(title) > 2 and title[:2] == ["user", "story"] else "" for title in self.titles]

    def statements(self, line: str) -> list[tuple[int, int]]:
        """Pairs of a phase and one that it depends on."""
        for arrow in ARROWS:
            line = line.replace(arrow, ARROWS[0])
        if ARROWS[0] in line:
            return self.chain([tokens(link) for link in line.split(ARROWS[0])])
        pairs = []
        for sentence in _split(tokens(line), SENTENCE):
            parts = _depends(sentence)
            if parts is not None and _sure(parts[0] + parts[1], HEDGES):
                pairs += _all_pairs(self.named(parts[0]), self.named(parts[1]))
        return pairs

    def chain(self, links: list[list[str]]) -> list[tuple[int, int]]:
        """Each link after the one before it."""
        if not all(_sure(link, HEDGES | {"can"}) for link in links):
            return []
        named = [self.named(link) for link in links]
        if not all(named) and len(links) == len(self.titles):
            # One link for each phase, in loose words: each must share a word with the phase at its place.
            alike = [any(len(word) >= SHORTEST and word in title for word in link) for link, title in zip(links, self.titles)]
            named = [{index} for index in range(len(links))] if all(alike) else named
        if not all(named):
            return []
        return [pair for earlier, later in zip(named, named[1:]) for pair in _all_pairs(later, earlier)]

    def named(self, words: list[str]) -> set[int]:
        """The phases that a few words name."""
        found: set[int] = set()
        for at, word in enumerate(words):
            following = words[at + 1 :]
            if word in ("phase", "phases"):
                found |= self.numbered(self.numbers, following, "stories" in words)
            elif word in ("story", "stories"):
                numbered = self.numbered(self.stories, following, True)
                every = {index for index, story in enumerate(self.stories) if story and word == "stories"}
                found |= numbered or (every if words[max(at - 1, 0)] == "user" else set())
            elif word.startswith("us") and word[2:].isdigit():
                found |= {index for index, story in enumerate(self.stories) if story == word[2:]}
            elif word == "final" and following[:1] == ["phase"]:
                found.add(len(self.numbers) - 1)
            elif word in NAMES:
                found |= {index for index, title in enumerate(self.titles) if title[:1] == [word]}
        return found

    def numbered(self, names: list[str], words: list[str], stories_only: bool) -> set[int]:
        """Phases by a list of numbers, such as `1, 2 and 4`, `2-4` or `3+`, at the beginning of some words."""
        found: set[int] = set()
        while words and _is_number(words[0]):
            at = {index for index, name in enumerate(names) if name == words[0]}
            between = range(0)
            if words[1:2] == ["+"]:
                between = range(min(at, default=len(names)), len(names))
                words = words[2:]
            elif words[1:2] == ["-"] and len(words) > 2 and _is_number(words[2]):
                end = [index for index, name in enumerate(names) if name == words[2]]
                between = range(min(at), max(end) + 1) if at and end else between
                words = words[3:]
            else:
                found |= at
                words = words[1:]
            found |= {index for index in between if self.stories[index] or not stories_only}
            further = words
            while further and further[0] in (",", "and"):
                further = further[1:]
            words = further if len(further) < len(words) else []
        return found


def _is_number(word: str) -> bool:
    return word == "n" or "0" <= word[0] <= "9"


def _sure(words: list[str], hedges: set[str]) -> bool:
    """Whether nothing weakens the words. What is said of a task is not said of its phase."""
    return not any(word in hedges or is_task_id(word) for word in words)


def _depends(words: list[str]) -> tuple[list[str], list[str]] | None:
    """What depends, and on what, in one sentence."""
    for at, word in enumerate(words):
        following = words[at + 1 :]
        if word in ("depend", "depends") and following[:1] == ["on"]:
            return words[:at], _split(following[1:], SEPARATOR)[0]
        if word in ("start", "starts", "begin", "begins"):
            following = following[1:] if following[:1] == ["only"] else following
            if following[:1] == ["after"]:
                return words[:at], _split(following[1:], SEPARATOR)[0]
    return None


def _split(words: list[str], separator: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word == separator:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _all_pairs(later: set[int], earlier: set[int]) -> list[tuple[int, int]]:
    return [(one, other) for one in later for other in earlier if one != other]
