"""The tiny model of the PaddleOCR-VL family."""

from __future__ import annotations

from hpsearch.training.models.families import FAMILIES
from hpsearch.training.models.processors import processor_class
from tools.tiny_models.parts import (
    HEADS,
    HIDDEN,
    INITIALIZER_RANGE,
    LAYERS,
    Tiny,
    character_tokenizer,
    special_ids,
    text_shape,
    token_ids,
    with_ends,
)

# As the published one, it shows a message's pictures before its texts.
TEMPLATE = """\
{{ bos_token }}
{%- for message in messages -%}
{%- if message.role == 'user' -%}{{ 'User: ' }}
{%- for item in message.content if item.type == 'image' -%}<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>
{%- endfor -%}
{%- for item in message.content if item.type == 'text' -%}{{ item.text }}{%- endfor -%}{{ '\\n' }}
{%- else -%}{{ 'Assistant:\\n' }}
{%- for item in message.content -%}{{ item.text }}{%- endfor -%}{{ eos_token }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ 'Assistant:\\n' }}{%- endif -%}
"""

_NAMED = {
    "image_token": "<|IMAGE_PLACEHOLDER|>",
    "video_token": "<|video_pad|>",
    "vision_start_token": "<|IMAGE_START|>",
    "vision_end_token": "<|IMAGE_END|>",
}


def paddleocr_vl() -> Tiny:
    """Make a tiny PaddleOCR-VL."""
    from transformers import PaddleOCRVLConfig, PaddleOCRVLForConditionalGeneration, PaddleOCRVLImageProcessorPil

    tokenizer = character_tokenizer(
        {"pad_token": "<unk>", "eos_token": "</s>", "unk_token": "<unk>", "bos_token": "<|begin_of_sentence|>"}, _NAMED
    )
    # A patch of 8 pixels and a merge of 2: one token for each 16x16 pixels.
    images = PaddleOCRVLImageProcessorPil(
        patch_size=8, merge_size=2, size={"shortest_edge": 16 * 16, "longest_edge": 16 * 16 * 64}
    )
    processor = processor_class(FAMILIES["paddleocr_vl"])(images, tokenizer, chat_template=TEMPLATE)
    config = PaddleOCRVLConfig(
        text_config={
            **text_shape(len(tokenizer)),
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 4, 4]},
            **special_ids(tokenizer),
            "tie_word_embeddings": True,
        },
        vision_config={
            "hidden_size": HIDDEN,
            "intermediate_size": 2 * HIDDEN,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "image_size": 64,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "initializer_range": INITIALIZER_RANGE,
        },
        **token_ids(tokenizer, _NAMED),
        tie_word_embeddings=True,
    )
    model = PaddleOCRVLForConditionalGeneration(config)
    return Tiny(with_ends(model, tokenizer, [tokenizer.eos_token_id]), processor)
