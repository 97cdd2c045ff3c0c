"""unsloth.trainer's collator is unsloth_zoo's, with a look at videos before."""

from unsloth_zoo.vision_utils import UnslothVisionDataCollator as UnslothVisionDataCollator
