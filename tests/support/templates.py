"""Short chat templates like those of real models."""

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TRIMMING = CHATML.replace("m.content", "m.content | trim")
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}"
    "{{ raise_exception('No system') }}{% endif %}{% endfor %}"
)
"""A beginning for other templates: it refuses system prompts."""

TOOLS = (
    "{% if tools %}<|im_start|>tools\n{% for tool in tools %}{{ tool | tojson }}\n"
    "{% endfor %}<|im_end|>\n{% endif %}"
)
CALLS = (
    "{% for c in m.tool_calls or [] %}\n<tool_call>\n"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'
    "\n</tool_call>{% endfor %}<|im_end|>"
)
QWEN_LIKE = TOOLS + CHATML.replace("<|im_end|>", CALLS, 1)
SYSTEM_FIRST = (
    "{% if messages[0].role == 'system' %}<|im_start|>system\n{{ messages[0].content }}\n"
    "{% else %}<|im_start|>system\n{% endif %}{% for tool in tools or [] %}{{ tool | tojson }}\n"
    "{% endfor %}<|im_end|>\n"
    + CHATML.replace("<|im_end|>", CALLS, 1)
    .replace("{% for m in messages %}", "{% for m in messages %}{% if m.role != 'system' %}")
    .replace("{% endfor %}{% if add", "{% endif %}{% endfor %}{% if add")
)
"""Writes the tools behind the system prompt, as Qwen's own template does."""

LLAMA_LIKE = TOOLS + (
    "{% for m in messages %}[{{ m.role }}]{% if m.tool_calls %}{% set c = m.tool_calls[0] %}"
    '{"name": "{{ c.function.name }}", "parameters": {{ c.function.arguments | tojson }}}'
    "{% elif m.role == 'tool' %}{{ m.content | tojson }}{% else %}{{ m.content }}{% endif %}"
    "{% endfor %}[assistant]"
)
