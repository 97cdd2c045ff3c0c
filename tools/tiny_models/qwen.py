"""The tiny models of the Qwen families."""

from __future__ import annotations

from typing import Any

from hpsearch.training.models.families import FAMILIES
from hpsearch.training.models.processors import processor_class
from tools.tiny_models.parts import (
    ALPHABET,
    HEADS,
    HIDDEN,
    INITIALIZER_RANGE,
    LAYERS,
    Tiny,
    character_tokenizer,
    special_ids,
    text_shape,
    token_ids,
    video_processor,
    with_ends,
)

TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else -%}
{%- for item in message.content -%}
{%- if item.type == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>
{%- elif item.type == 'text' -%}{{ item.text }}{%- endif -%}
{%- endfor -%}{%- endif -%}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant
{% endif -%}
"""

# As those published from 4B on, it thinks first unless it is asked not to, and writes an empty thought before answers.
THINKING_TEMPLATE = TEMPLATE.replace(
    "{% if message.content is string",
    "{% if message.role == 'assistant' %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% if message.content is string",
).replace(
    "assistant\n{% endif -%}",
    "assistant\n{{ '<think>\\n\\n</think>\\n\\n' if enable_thinking is false else '<think>\\n' }}{% endif -%}",
)

_SPECIALS = {
    "pad_token": "<|endoftext|>",
    "eos_token": "<|im_end|>",
    "unk_token": "<unk>",
    "bos_token": "<|im_start|>",
}
_NAMED = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|vision_start|>",
    "vision_end_token": "<|vision_end|>",
}


def qwen2_5_vl() -> Tiny:
    """Make a tiny Qwen2.5-VL, whose vision tower attends within windows in its first layer and to all in its last."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    processor = _processor("qwen2_5_vl", character_tokenizer(_SPECIALS, _NAMED))
    config = Qwen2_5_VLConfig(
        text_config=_text(processor.tokenizer),
        vision_config={**_vision(), "window_size": 64, "fullatt_block_indexes": [LAYERS - 1]},
        **token_ids(processor.tokenizer, _NAMED),
        tie_word_embeddings=True,
    )
    return _tiny(Qwen2_5_VLForConditionalGeneration(config), processor)


def qwen3_5() -> Tiny:
    """Make a tiny Qwen3.5: a layer of linear attention, and one of full attention that turns a quarter of each head."""
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    processor = _processor("qwen3_5", _byte_tokenizer(), THINKING_TEMPLATE)
    config = Qwen3_5Config(
        text_config={
            **_text(processor.tokenizer, mrope_interleaved=True, mrope_section=[1, 1, 1], partial_rotary_factor=0.25),
            "layer_types": ["linear_attention", "full_attention"],
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
            "mtp_num_hidden_layers": 1,  # as published; transformers has no such layers
        },
        vision_config={**_vision(), "num_position_embeddings": 256},
        **token_ids(processor.tokenizer, _NAMED),
        tie_word_embeddings=True,
    )
    return _tiny(Qwen3_5ForConditionalGeneration(config), processor)


def qwen3_vl() -> Tiny:
    """Make a tiny Qwen3-VL."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    processor = _processor("qwen3_vl", character_tokenizer(_SPECIALS, _NAMED))
    config = Qwen3VLConfig(
        text_config=_text(processor.tokenizer, mrope_interleaved=True),
        vision_config={**_vision(), "num_position_embeddings": 256, "deepstack_visual_indexes": [0]},
        **token_ids(processor.tokenizer, _NAMED),
        tie_word_embeddings=True,
    )
    return _tiny(Qwen3VLForConditionalGeneration(config), processor)


def _byte_tokenizer() -> Any:
    """Make a tokenizer of the same characters in bytes: transformers reads any tokenizer of this family as byte-level
    BPE."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen3_5Tokenizer

    bytewise = ByteLevel(add_prefix_space=False, use_regex=False)
    words = [*_SPECIALS.values(), *_NAMED.values(), *bytewise.pre_tokenize_str(ALPHABET)[0][0]]
    vocabulary = {word: index for index, word in enumerate(words)}
    return Qwen3_5Tokenizer(vocab=vocabulary, merges=[], extra_special_tokens=_NAMED, **_SPECIALS)


def _processor(family: str, tokenizer: Any, template: str = TEMPLATE) -> Any:
    """Make a processor with one token for each 16x16 pixels: a patch of 8 pixels and a merge of 2."""
    from transformers import Qwen2VLImageProcessorPil

    images = Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, temporal_patch_size=2, size={"shortest_edge": 16 * 16, "longest_edge": 16 * 16 * 64}
    )
    video = video_processor("Qwen2VLVideoProcessor" if family == "qwen2_5_vl" else "Qwen3VLVideoProcessor")
    return processor_class(FAMILIES[family])(images, tokenizer, video, chat_template=template)


def _text(tokenizer: Any, **rope: Any) -> dict[str, Any]:
    return {
        **text_shape(len(tokenizer)),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "mrope_section": [4, 4, 4],  # sums to half of what is turned of each head
            **rope,
        },
        **special_ids(tokenizer),
        "tie_word_embeddings": True,
    }


def _vision() -> dict[str, Any]:
    return {
        "depth": LAYERS,
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_heads": HEADS,
        "patch_size": 8,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": HIDDEN,
        "initializer_range": INITIALIZER_RANGE,
    }


def _tiny(model: Any, processor: Any) -> Tiny:
    return Tiny(with_ends(model, processor.tokenizer, [processor.tokenizer.eos_token_id]), processor)
