"""Batch classification: `python examples/classify.py TICKETS.csv OUT.csv` adds a column `topic`.

Every row becomes a request of one Message Batch, which costs half and is answered while the engines
would be idle. The results are joined to the rows by the `custom_id` of each request.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import anthropic
from anthropic.types import OutputConfigParam
from anthropic.types.messages import MessageBatchIndividualResponse
from anthropic.types.messages.batch_create_params import Request

TOPICS = ["billing", "delivery", "defect", "other"]
ANSWER: OutputConfigParam = {
    "format": {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {"topic": {"type": "string", "enum": TOPICS}},
            "required": ["topic"],
            "additionalProperties": False,
        },
    }
}
SYSTEM = f"Classify the message of a customer. Topics: {', '.join(TOPICS)}."


def request(number: int, text: str, model: str) -> Request:
    return {
        "custom_id": f"row-{number}",
        "params": {
            "model": model,
            "max_tokens": 100,
            "system": SYSTEM,
            "output_config": ANSWER,
            "messages": [{"role": "user", "content": text}],
        },
    }


def topic(line: MessageBatchIndividualResponse) -> str:
    """Return what a row's column gets: a topic, or why there is none."""
    match line.result.type:
        case "succeeded":
            message = line.result.message
            if message.stop_reason != "end_turn":
                return f"error: {message.stop_reason}"
            text = "".join(block.text for block in message.content if block.type == "text")
            return str(json.loads(text)["topic"])
        case "errored":
            return f"error: {line.result.error.error.message}"
        case other:  # canceled, or expired after 24 hours
            return f"error: {other}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tickets", type=Path, help="a CSV file with a column `text`")
    parser.add_argument("output", type=Path, help="the file to write")
    parser.add_argument("--model", default="claude-local")
    parser.add_argument("--poll", type=float, default=2.0, help="seconds between two looks")
    arguments = parser.parse_args()

    with arguments.tickets.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    batches = anthropic.Anthropic().messages.batches  # reads the two variables
    batch = batches.create(
        requests=[request(number, row["text"], arguments.model) for number, row in enumerate(rows)]
    )
    print(f"{batch.id} has {len(rows)} requests.")
    while batch.processing_status != "ended":
        time.sleep(arguments.poll)
        batch = batches.retrieve(batch.id)
    topics = {line.custom_id: topic(line) for line in batches.results(batch.id)}

    with arguments.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], "topic"])
        writer.writeheader()
        for number, row in enumerate(rows):
            writer.writerow({**row, "topic": topics[f"row-{number}"]})
    counts = batch.request_counts
    print(f"{counts.succeeded} of {len(rows)} succeeded; the rows are in {arguments.output}.")


if __name__ == "__main__":
    main()
