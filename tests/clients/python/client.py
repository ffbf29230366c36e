"""Drives a gateway with the real openai-python and reports what the client saw, one JSON line a feature.

usage: client.py MODEL [EMBEDDING_MODEL]      with OPENAI_BASE_URL and OPENAI_API_KEY set

The vendor behind MODEL is simulated: it obeys the [[directives]] in a prompt.
"""

import json
import sys

import openai
import pydantic

MODEL = sys.argv[1]
EMBEDDINGS = sys.argv[2] if len(sys.argv) > 2 else None

# Retries would hide a gateway's faults.
client = openai.OpenAI(max_retries=0, timeout=30)

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Get the {name.removeprefix('get_')}",
            "parameters": {
                "type": "object",
                "properties": {argument: {"type": "string"}},
                "required": [argument],
                "additionalProperties": False,
            },
        },
    }
    for name, argument in [("get_weather", "city"), ("get_time", "zone")]
]
CALLS = '[[tool:get_weather {"city": "Paris"}]] [[tool:get_time {"zone": "UTC"}]] Weather and time?'


def user(text):
    return [{"role": "user", "content": text}]


def report(feature, usage=None, request_id=None):
    usage = usage and usage.model_dump(exclude_none=True)
    print(json.dumps({"feature": feature, "usage": usage, "request_id": request_id}), flush=True)


def expect(condition, seen):
    if not condition:
        raise AssertionError(seen)


def chat():
    answer = client.chat.completions.create(model=MODEL, messages=user("[[say:Paris.]] The capital of France?"))
    expect(answer.choices[0].message.content == "Paris.", answer)
    expect(answer.choices[0].finish_reason == "stop", answer)
    report("chat", answer.usage, answer._request_id)


def chat_with_everything_usual():
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "system", "content": "Be brief."}, *user("[[think:8]][[say:one two three]] Count.")],
        max_completion_tokens=100,
        stop=[" three"],
        user="somebody",
    )
    expect(answer.choices[0].message.content.strip() == "one two", answer)
    report("usual", answer.usage, answer._request_id)


def cut_at_the_bound():
    answer = client.chat.completions.create(model=MODEL, messages=user("[[len:50]] Go on."), max_completion_tokens=7)
    expect(answer.choices[0].finish_reason == "length", answer)
    expect(answer.usage.completion_tokens == 7, answer.usage)
    report("length", answer.usage, answer._request_id)


def stream(with_usage):
    options = {"stream_options": {"include_usage": True}} if with_usage else {}
    text, usage, finish = "", None, None
    with client.chat.completions.create(
        model=MODEL, messages=user("[[len:40]][[cached:3]] Tell a story."), stream=True, **options
    ) as chunks:
        request_id = chunks.response.headers["x-request-id"]
        for chunk in chunks:
            usage = chunk.usage or usage
            # The chunk with the usage comes only to those who asked for it.
            expect(chunk.choices or with_usage, chunk)
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
    expect(len(text) == 160 and finish == "stop", (len(text), finish))
    expect((usage is not None) == with_usage, usage)
    report("stream" if with_usage else "stream_without_usage", usage, request_id)


def parallel_tools():
    messages = user(CALLS)
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
    expect(answer.choices[0].finish_reason == "tool_calls", answer)
    calls = answer.choices[0].message.tool_calls
    expect([call.function.name for call in calls] == ["get_weather", "get_time"], answer)
    expect(json.loads(calls[0].function.arguments) == {"city": "Paris"}, answer)
    expect(len({call.id for call in calls}) == 2, answer)
    report("tools", answer.usage, answer._request_id)

    messages.append(answer.choices[0].message)
    messages += [{"role": "tool", "tool_call_id": call.id, "content": f"result of {call.function.name}"} for call in calls]
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
    expect(answer.choices[0].message.content.startswith("The tool answered: "), answer)
    report("tool_results", answer.usage, answer._request_id)


def streamed_tools():
    with client.chat.completions.stream(
        model=MODEL, messages=user(CALLS), tools=TOOLS, stream_options={"include_usage": True}
    ) as events:
        done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
        answer = events.get_final_completion()
    expect([event.name for event in done] == ["get_weather", "get_time"], done)
    expect(json.loads(done[1].arguments) == {"zone": "UTC"}, done)
    expect(answer.choices[0].finish_reason == "tool_calls", answer)
    report("streamed_tools", answer.usage)


class Person(pydantic.BaseModel):
    name: str
    age: int
    tags: list[str]


def structured():
    answer = client.chat.completions.parse(model=MODEL, messages=user("Invent a person."), response_format=Person)
    expect(isinstance(answer.choices[0].message.parsed, Person), answer)
    report("structured", answer.usage, answer._request_id)


def refused():
    answer = client.chat.completions.create(model=MODEL, messages=user("[[filter]][[say:no]] Something bad"))
    expect(answer.choices[0].finish_reason == "content_filter", answer)
    report("filtered", answer.usage, answer._request_id)


def models():
    names = [model.id for model in client.models.list()]
    expect(MODEL in names, names)
    expect(client.models.retrieve(MODEL).id == MODEL, MODEL)
    report("models")


def embeddings():
    for options in [{}, {"encoding_format": "float"}]:
        answer = client.embeddings.create(model=EMBEDDINGS, input=["first", "second"], **options)
        expect([row.index for row in answer.data] == [0, 1], answer)
        expect(all(isinstance(x, float) for x in answer.data[0].embedding) and answer.data[0].embedding, answer)
        report("embeddings", answer.usage)


def errors():
    try:
        client.chat.completions.create(model="no-such-model", messages=user("Hello"))
        raise AssertionError("an unknown model was served")
    except openai.NotFoundError as error:
        expect(error.code == "model_not_found", error)
    try:
        client.chat.completions.create(model=MODEL, messages="not a list")
        raise AssertionError("a malformed body was served")
    except openai.BadRequestError as error:
        expect(error.type == "invalid_request_error", error)
    report("errors")


chat()
chat_with_everything_usual()
cut_at_the_bound()
stream(with_usage=True)
stream(with_usage=False)
parallel_tools()
streamed_tools()
structured()
refused()
models()
if EMBEDDINGS:
    embeddings()
errors()
