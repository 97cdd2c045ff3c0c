"""A model's chat template: the text of a question and of an answer, with the marks that begin and end them.

Labels are plain text: a label that holds the text of a special token (``<|im_end|>``) is encoded as its characters.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        self._tokenizer = processor.tokenizer
        self._prompt = prompt(instruction)
        self.question = str(processor.apply_chat_template(self._prompt, add_generation_prompt=True, tokenize=False))
        if not self._whole("?").startswith(self.question + "?"):
            raise UsageError(
                "a chat template must write the answer straight after the question it generates from, but this model's "
                f"puts {self._whole('?')!r:.200} where {self.question!r:.200} was asked",
                "use a model that does not think first, or fix its chat_template.jinja",
            )
        self._end = self.answer("?")[1:]
        self._end_ids: list[int] = self._tokenizer(self._end, add_special_tokens=False)["input_ids"]
        self._special = special_tokens(processor)

    def answer(self, text: str) -> str:
        """Write an answer up to its end mark."""
        return self._whole(text)[len(self.question) :]

    def label(self, text: str) -> str:
        """Return a text as the template lets it through: an answer without its end mark."""
        return self.answer(text).removesuffix(self._end)

    def encode(self, answers: Sequence[str]) -> list[list[int]]:
        """Encode what ``answer`` wrote. The marks of its end are tokens of their own; of the label no part becomes a
        special token, unless the tokenizer has no other for it."""
        if not answers:
            return []
        encoded: list[list[int]] = self._tokenizer(list(answers), add_special_tokens=False)["input_ids"]
        end = len(self._end_ids)
        for position, (answer, ids) in enumerate(zip(answers, encoded, strict=True)):
            # Only those that need it: the tokens of all other labels are what they are without this.
            if not self._special.keys().isdisjoint(ids[: len(ids) - end]) or ids[len(ids) - end :] != self._end_ids:
                label = answer.removesuffix(self._end)
                plain = self._tokenizer(label, add_special_tokens=False, split_special_tokens=True)["input_ids"]
                encoded[position] = [*plain, *self._end_ids]
        return encoded

    def labels(self, answers: Sequence[str]) -> list[list[int]]:
        """Encode answers without their end marks."""
        return [ids[: len(ids) - len(self._end_ids)] for ids in self.encode(answers)]

    def special(self, ids: Sequence[int]) -> str | None:
        """Return the first special token among ``ids``, if there is one."""
        return next((self._special[number] for number in ids if number in self._special), None)

    def padded(self, answers: Sequence[str]) -> dict[str, Any]:
        """Encode answers as tensors, padded on the right: ``input_ids`` and ``attention_mask``."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        rows = [torch.tensor(ids) for ids in self.encode(answers)]
        return {
            "input_ids": pad_sequence(rows, batch_first=True, padding_value=self._tokenizer.pad_token_id or 0),
            "attention_mask": pad_sequence([torch.ones_like(row) for row in rows], batch_first=True),
        }

    def _whole(self, text: str) -> str:
        return str(self._processor.apply_chat_template(self._prompt + answer(text), tokenize=False))


def special_tokens(processor: Any) -> dict[int, str]:
    """Return the tokens that are no text, by id: decoding drops them, they end a turn, or stand for a picture."""
    tokenizer = processor.tokenizer
    special = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    special |= dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    for name in ("image_token", "video_token", "boi_token", "eoi_token"):
        token = getattr(processor, name, None)
        number = tokenizer.convert_tokens_to_ids(token) if isinstance(token, str) else None
        if number is not None and number != tokenizer.unk_token_id:
            special[number] = str(token)
    return special


class AnsweringProcessor:
    """A processor for the collators of trl and unsloth, which call it once with the questions and their pictures, and
    once with the answers alone: these are encoded as ``Chat`` does."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._chat = Chat(processor, "")

    def __call__(self, text: Sequence[str], images: Any = None, **options: Any) -> Any:
        """Process questions with pictures, or answers, which are padded on the right."""
        if images is not None:
            return self._processor(text=text, images=images, **options)
        answers = self._chat.padded(text)
        return {**answers, "token_type_ids": answers["input_ids"].new_zeros(answers["input_ids"].shape)}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_processor":  # asked for while a copy is unpickled
            raise AttributeError(name)
        return getattr(self._processor, name)
