"""Ray Serve LLM with two replicas of a model on processors. Run by Ray's Python: FOLDER PORT."""

import os
import sys

import ray
from ray import serve
from ray.serve.llm import LLMConfig, build_openai_app

PASSED = ("VLLM_CPU_KVCACHE_SPACE", "HF_HUB_OFFLINE", "VLLM_NO_USAGE_STATS", "OMP_NUM_THREADS")


def main(folder: str, port: int) -> None:
    ray.init(runtime_env={"env_vars": {name: os.environ[name] for name in PASSED}})
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    model = LLMConfig(
        model_loading_config={"model_id": "smollm2", "model_source": folder},
        deployment_config={"num_replicas": 2, "ray_actor_options": {"num_cpus": 0}},
        accelerator_config={"kind": "cpu"},
        placement_group_config={"bundles": [{"CPU": 1}]},
        engine_kwargs={
            "dtype": "float32",
            "enforce_eager": True,
            "max_model_len": 1024,
            "enable_prefix_caching": True,
            "enable_prompt_tokens_details": True,
            "scheduling_policy": "priority",
        },
    )
    ingress = {"num_replicas": 1, "ray_actor_options": {"num_cpus": 0}}
    app = build_openai_app({"llm_configs": [model], "ingress_deployment_config": ingress})
    serve.run(app, blocking=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
