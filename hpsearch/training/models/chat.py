"""A model's chat template: the text of a question and of an answer, with the marks that begin and end them."""

from __future__ import annotations

from typing import Any

from hpsearch.errors import UsageError

Message = dict[str, Any]


def prompt(instruction: str) -> list[Message]:
    """What the model is shown: the image, then the instruction."""
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": instruction}]}]


def answer(text: str) -> list[Message]:
    """What the model is to say."""
    return [{"role": "assistant", "content": [{"type": "text", "text": text}]}]


class Chat:
    """Writes texts as the model's chat template does. ``question`` is that of every row: the image's mark, then the
    instruction, up to where the answer begins.

    Raises:
        UsageError: the template does not write an answer straight after its question, so that training and generating
            would not see the same text (templates of models that think first do so).
    """

    def __init__(self, processor: Any, instruction: str) -> None:
        self._processor = processor
        self._prompt = prompt(instruction)
        self.question = str(processor.apply_chat_template(self._prompt, add_generation_prompt=True, tokenize=False))
        if not self._whole("?").startswith(self.question):
            raise UsageError(
                "a chat template must write the answer straight after the question it generates from, but this model's "
                f"puts {self._whole('?')!r:.200} where {self.question!r:.200} was asked",
                "use a model that does not think first, or mend its chat_template.jinja",
            )

    def answer(self, text: str) -> str:
        """An answer up to its end mark."""
        return self._whole(text)[len(self.question) :]

    def _whole(self, text: str) -> str:
        return str(self._processor.apply_chat_template(self._prompt + answer(text), tokenize=False))
