"""What is learned about the reasoning of the templates in llama.cpp's collection."""

from typing import Final, NamedTuple


class Learned(NamedTuple):
    """What a template shows: its tags around a thought, and what it does with reasoning.

    - `place`: the field of earlier reasoning, or `block`, or `content`.
    - `switch`: the variable, its values for on and off, and the one that is taken for granted.
    - `efforts`: the variable and its levels.
    - `opened`, `shut`: how the prompt ends if the model shall reason, and if it shall not.
    - `kept`: which earlier reasoning is shown.
    """

    tags: str
    place: str
    switch: str
    efforts: str
    opened: str
    shut: str
    kept: str


REASONING: Final = {
    "Apertus-8B-Instruct": Learned(
        "<|inner_prefix|>…<|inner_suffix|>",
        "content",
        "enable_thinking=True/False, usually False",
        "",
        "free",
        "free",
        "always",
    ),
    "Apriel-1.6-15b-Thinker-fixed": Learned(
        "Here are my reasoning steps:\n…\n[BEGIN FINAL RESPONSE]\n",
        "reasoning_content",
        "",
        "",
        "open",
        "open",
        "loop",
    ),
    "Bielik-11B-v3.0-Instruct": Learned(
        "<think>\n…\n</think>\n",
        "reasoning_content",
        "enable_thinking=True/False, usually False",
        "",
        "open",
        "free",
        "always",
    ),
    "ByteDance-Seed-OSS": Learned(
        "<seed:think>…</seed:think>\n", "reasoning_content", "", "", "free", "free", "always"
    ),
    "Cohere2MoE": Learned(
        "<|START_THINKING|>…<|END_THINKING|><|START_TEXT|>",
        "reasoning_content",
        "reasoning=True/False, usually True",
        "",
        "open",
        "closed",
        "always",
    ),
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": Learned(
        "<|START_THINKING|>…<|END_THINKING|><|START_RESPONSE|>",
        "reasoning_content",
        "enable_thinking=True/False, usually False",
        "",
        "free",
        "closed",
        "loop, at calls",
    ),
    "GLM-4.6": Learned(
        "\n<think>…</think>\n",
        "reasoning_content",
        "enable_thinking=True/False, usually True",
        "",
        "free",
        "closed",
        "loop",
    ),
    "GLM-4.7-Flash": Learned(
        "<think>…</think>",
        "reasoning_content",
        "enable_thinking=True/False, usually True",
        "",
        "open",
        "closed",
        "loop",
    ),
    "HuggingFaceTB-SmolLM3-3B": Learned(
        "<think>\n…\n</think>\n",
        "content",
        "enable_thinking=True/False, usually True",
        "",
        "free",
        "closed",
        "always",
    ),
    "Kimi-K2-Thinking": Learned(
        "<think>…</think>", "reasoning_content", "", "", "free", "free", "loop, at calls"
    ),
    "Kimi-K3": Learned(
        "<|open|>think<|sep|>…<|close|>think<|sep|><|open|>response<|sep|>",
        "reasoning_content",
        "thinking=True/False, usually True",
        "thinking_effort low high max",
        "open",
        "closed",
        "always",
    ),
    "LFM2.5-8B-A1B": Learned("<think>…</think>", "thinking", "", "", "free", "free", "loop"),
    "MiniMax-M2": Learned(
        "<think>\n…\n</think>\n\n", "reasoning_content", "", "", "open", "open", "loop"
    ),
    "MiniMax-M3": Learned(
        "<mm:think>…</mm:think>",
        "reasoning_content",
        "thinking_mode=enabled/disabled, usually None",
        "",
        "open",
        "closed",
        "always",
    ),
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": Learned(
        "<think>…\n</think>\n",
        "reasoning_content",
        "enable_thinking=True/False, usually True",
        "",
        "open",
        "closed",
        "loop",
    ),
    "NVIDIA-Nemotron-Nano-v2": Learned(
        "<think>\n…\n</think>\n\n", "content", "", "", "open", "open", "never"
    ),
    "Qwen-QwQ-32B": Learned(
        "<think>\n…\n</think>\n\n",
        "content",
        "enable_thinking=True/False, usually False",
        "",
        "open",
        "closed",
        "loop",
    ),
    "Qwen-Qwen3-0.6B": Learned(
        "<think>\n…\n</think>\n\n",
        "reasoning_content",
        "enable_thinking=True/False, usually True",
        "",
        "free",
        "closed",
        "loop",
    ),
    "Qwen3.5-4B": Learned(
        "<think>\n…\n</think>\n\n",
        "reasoning_content",
        "enable_thinking=True/False, usually True",
        "",
        "open",
        "closed",
        "loop",
    ),
    "Reka-Edge": Learned(
        "<think>\n…\n</think>\n\n",
        "reasoning_content",
        "enable_thinking=True/False, usually False",
        "",
        "open",
        "free",
        "loop",
    ),
    "Spark2.5": Learned(
        "<think>…</think>",
        "reasoning_content",
        "enable_thinking=True/False, usually True",
        "",
        "open",
        "closed",
        "always",
    ),
    "StepFun3.5-Flash": Learned(
        "<think>\n…\n</think>\n", "reasoning_content", "", "", "open", "open", "loop"
    ),
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": Learned(
        "<think>\n…\n</think>\n\n", "content", "", "", "open", "open", "never"
    ),
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": Learned(
        "<think>\n…\n</think>\n\n",
        "content",
        "enable_thinking=True/False, usually False",
        "",
        "open",
        "closed",
        "never",
    ),
    "deepseek-ai-DeepSeek-V3.1": Learned(
        "<think>…</think>",
        "content",
        "enable_thinking=True/False, usually False",
        "",
        "open",
        "closed",
        "never",
    ),
    "deepseek-ai-DeepSeek-V3.2": Learned(
        "<think>…</think>",
        "reasoning_content",
        "enable_thinking=True/False, usually False",
        "",
        "open",
        "closed",
        "loop",
    ),
    "deepseek-ai-DeepSeek-V4": Learned(
        "<think>…</think>",
        "reasoning_content",
        "enable_thinking=True/False, usually False",
        "reasoning_effort high max",
        "open",
        "closed",
        "loop",
    ),
    "deepseek-ai-DeepSeek-V4-Flash-0731": Learned(
        "<think>…</think>",
        "reasoning_content",
        "enable_thinking=True/False, usually False",
        "reasoning_effort medium high max",
        "open",
        "closed",
        "loop",
    ),
    "google-gemma-4-31B-it": Learned(
        "<|channel>thought\n…\n<channel|>",
        "reasoning_content",
        "enable_thinking=True/False, usually False",
        "",
        "free",
        "closed",
        "loop, at calls",
    ),
    "google-gemma-4-31B-it-interleaved": Learned(
        "<|channel>thought\n…<channel|>",
        "reasoning_content",
        "enable_thinking=True/False, usually False",
        "",
        "free",
        "closed",
        "loop, at calls",
    ),
    "ibm-granite-granite-3.3-2B-Instruct": Learned(
        "<think>\n…\n</think>\n\n",
        "content",
        "thinking=True/False, usually False",
        "",
        "free",
        "free",
        "always",
    ),
    "inclusionai-ling-3.0-flash": Learned(
        "<think>…</think>",
        "reasoning_content",
        "enable_thinking=True/False, usually True",
        "",
        "open",
        "closed",
        "always",
    ),
    "llama-cpp-deepseek-r1": Learned(
        "<think>\n…\n</think>\n\n", "content", "", "", "open", "open", "never"
    ),
    "llama-cpp-rwkv-world": Learned(
        "<think>…\n</think>\n\n",
        "content",
        "enable_thinking=True/False, usually None",
        "",
        "open",
        "closed",
        "never",
    ),
    "mistralai-Ministral-3-14B-Reasoning-2512": Learned(
        "[THINK]…[/THINK]", "block", "", "", "free", "free", "always"
    ),
    "muse-glimmer": Learned(
        " to=self<|message|>…<|eom|><|start|>assistant to=user<|message|>",
        "reasoning_content",
        "",
        "reasoning_strength low medium high",
        "free",
        "free",
        "always",
    ),
    "openai-gpt-oss-120b": Learned(
        "<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>",
        "thinking",
        "",
        "reasoning_effort low medium high",
        "free",
        "free",
        "loop",
    ),
    "openbmb-MiniCPM5-1B": Learned(
        "<think>\n…\n</think>\n\n",
        "reasoning_content",
        "enable_thinking=True/False, usually None",
        "",
        "open",
        "closed",
        "loop",
    ),
    "poolside-Laguna-S-2.1": Learned(
        "<think>…</think>",
        "reasoning_content",
        "enable_thinking=True/False, usually True",
        "",
        "open",
        "closed",
        "always",
    ),
    "poolside-Laguna-XS-2.1": Learned(
        "<think>\n…\n</think>\n",
        "reasoning_content",
        "enable_thinking=True/False, usually False",
        "",
        "open",
        "closed",
        "always",
    ),
    "poolside-Laguna-XS.2": Learned(
        "<think>\n…\n</think>\n",
        "reasoning_content",
        "enable_thinking=True/False, usually False",
        "",
        "open",
        "closed",
        "always",
    ),
    "tencent-Hy3": Learned(
        "<think:opensource>…</think:opensource>",
        "reasoning_content",
        "reasoning_effort=high/no_think, usually no_think",
        "reasoning_effort low high",
        "open",
        "closed",
        "loop",
    ),
    "upstage-Solar-Open-100B": Learned(
        "<|think|>…<|end|><|begin|>assistant<|content|>",
        "reasoning",
        "reasoning_effort=high/minimal, usually high",
        "",
        "free",
        "closed",
        "loop",
    ),
}

WITHOUT: Final = (
    "CohereForAI-c4ai-command-r-plus-tool_use",
    "GigaChat3-10B-A1.8B",
    "GigaChat3.1-10B-A1.8B",
    "Kimi-K2-Instruct",
    "LFM2-8B-A1B",
    "LFM2.5-Instruct",
    "MiMo-VL",
    "MiniMax-M1",
    "Mistral-Small-3.2-24B-Instruct-2506",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
    "Qwen-Qwen2.5-7B-Instruct",
    "Qwen3-Coder",
    "fireworks-ai-llama-3-firefunction-v2",
    "google-gemma-2-2b-it",
    "ibm-granite-granite-4.0",
    "ibm-granite-granite-4.1",
    "meetkai-functionary-medium-v3.1",
    "meetkai-functionary-medium-v3.2",
    "meta-llama-Llama-3.1-8B-Instruct",
    "meta-llama-Llama-3.2-3B-Instruct",
    "meta-llama-Llama-3.3-70B-Instruct",
    "microsoft-Phi-3.5-mini-instruct",
    "mistralai-Mistral-Nemo-Instruct-2407",
    "moonshotai-Kimi-K2",
    "unsloth-Apriel-1.5",
    "unsloth-mistral-Devstral-Small-2507",
)
"""Templates that show no reasoning."""
