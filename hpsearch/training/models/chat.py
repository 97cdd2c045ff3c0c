"""A model's chat template: the text of a question and of an answer, with the marks that begin and end them."""

from __future__ import annotations

from typing import Any

from hpsearch.errors import UsageError

Message = dict[str, Any]


def prompt(instruction: str) -> list[Message]:
    """Return the messages of a question: the image, then the instruction."""
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": instruction}]}]


def answer(text: str) -> list[Message]:
    """Return the messages of an answer."""
    return [{"role": "assistant", "content": [{"type": "text", "text": text}]}]


# Put before a template that knows this variable: thinking is off unless it is asked for.
AT_ONCE = "{%- set enable_thinking = enable_thinking | default(false) -%}\n"


def answer_at_once(processor: Any) -> None:
    """Change a chat template that makes the model think first (Qwen3.5's) not to do so, unless it is asked to.

    The change is saved with the processor: a server that is not given enable_thinking asks what the model was tuned
    for.
    """
    if "enable_thinking" not in (processor.chat_template or ""):
        return

    def question(**options: bool) -> str:
        asked = prompt("?")
        return str(processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=False, **options))

    if question() != question(enable_thinking=False):
        processor.chat_template = AT_ONCE + processor.chat_template


class Chat:
    """Writes texts as the model's chat template does. ``question`` is that of every row: the image's mark, then the
    instruction, up to where the answer begins.

    Raises:
        UsageError: the template does not write an answer straight after its question, so that training and generating
            would not see the same text (templates of models that think first do so; see ``answer_at_once``).
    """

    def __init__(self, processor: Any, instruction: str) -> None:
        self._processor = processor
        self._prompt = prompt(instruction)
        self.question = str(processor.apply_chat_template(self._prompt, add_generation_prompt=True, tokenize=False))
        if not self._whole("?").startswith(self.question + "?"):
            raise UsageError(
                "a chat template must write the answer straight after the question it generates from, but this model's "
                f"puts {self._whole('?')!r:.200} where {self.question!r:.200} was asked",
                "use a model that does not think first, or fix its chat_template.jinja",
            )

    def answer(self, text: str) -> str:
        """Write an answer up to its end mark."""
        return self._whole(text)[len(self.question) :]

    def _whole(self, text: str) -> str:
        return str(self._processor.apply_chat_template(self._prompt + answer(text), tokenize=False))
