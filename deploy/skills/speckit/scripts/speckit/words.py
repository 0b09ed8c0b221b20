"""Text cut into words and the few signs that matter between them."""

# What ends a sentence, and what stands between a statement and a remark on it.
SENTENCE, SEPARATOR = ".", "|"


def tokens(text: str) -> list[str]:
    """Lower-case words of ASCII letters, digits and inner dots; `+`, `-` and `,`; SENTENCE and SEPARATOR."""
    found: list[str] = []
    word = ""
    for at, char in enumerate(text):
        following = text[at + 1 : at + 2]
        if _in_word(char) or (char == "." and word and _in_word(following)):
            word += char.lower()
            continue
        if word:
            found.append(word)
            word = ""
        if char in ".;":
            found.append(SENTENCE)
        elif char in "-–—":
            spaced = text[max(at - 1, 0) : at] in ("", " ", "\t") and following in ("", " ", "\t")
            found.append(SEPARATOR if spaced else "-")
        elif char == "+":
            found.append("+")
        elif char in ",/&":
            found.append(",")
    return [*found, word] if word else found


def is_task_id(word: str) -> bool:
    """Whether a lower-case word is a task's id, such as `t001`."""
    return len(word) > 3 and word[0] == "t" and all("0" <= char <= "9" for char in word[1:])


def _in_word(char: str) -> bool:
    return char.isascii() and char.isalnum()
