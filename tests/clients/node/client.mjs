// Drives a gateway with the real openai-node and reports what the client saw, one JSON line a feature.
//
// usage: node client.mjs MODEL [EMBEDDING_MODEL]      with OPENAI_BASE_URL and OPENAI_API_KEY set
//
// The vendor behind MODEL is simulated: it obeys the [[directives]] in a prompt.
import assert from "node:assert/strict";
import OpenAI from "openai";

const [MODEL, EMBEDDINGS] = process.argv.slice(2);

// Retries would hide a gateway's faults.
const client = new OpenAI({ maxRetries: 0, timeout: 30_000 });

const TOOLS = [
  ["get_weather", "city"],
  ["get_time", "zone"],
].map(([name, argument]) => ({
  type: "function",
  function: {
    name,
    description: `Get the ${name.replace("get_", "")}`,
    parameters: {
      type: "object",
      properties: { [argument]: { type: "string" } },
      required: [argument],
      additionalProperties: false,
    },
  },
}));
const CALLS = '[[tool:get_weather {"city": "Paris"}]] [[tool:get_time {"zone": "UTC"}]] Weather and time?';

const user = (content) => [{ role: "user", content }];
const report = (feature, usage = null, requestId = null) =>
  console.log(JSON.stringify({ feature, usage, request_id: requestId }));

{
  const answer = await client.chat.completions.create({
    model: MODEL,
    messages: user("[[say:Paris.]] The capital of France?"),
  });
  assert.equal(answer.choices[0].message.content, "Paris.");
  assert.equal(answer.choices[0].finish_reason, "stop");
  report("chat", answer.usage, answer._request_id);
}

for (const withUsage of [true, false]) {
  const { data: chunks, response } = await client.chat.completions
    .create({
      model: MODEL,
      messages: user("[[len:40]][[cached:3]] Tell a story."),
      stream: true,
      ...(withUsage ? { stream_options: { include_usage: true } } : {}),
    })
    .withResponse();
  let text = "";
  let usage = null;
  let finish = null;
  for await (const chunk of chunks) {
    usage = chunk.usage ?? usage;
    // The chunk with the usage comes only to those who asked for it.
    assert.ok(chunk.choices.length > 0 || withUsage, JSON.stringify(chunk));
    for (const choice of chunk.choices) {
      text += choice.delta.content ?? "";
      finish = choice.finish_reason ?? finish;
    }
  }
  assert.equal(text.length, 160);
  assert.equal(finish, "stop");
  assert.equal(usage !== null, withUsage);
  report(withUsage ? "stream" : "stream_without_usage", usage, response.headers.get("x-request-id"));
}

{
  const messages = user(CALLS);
  const answer = await client.chat.completions.create({ model: MODEL, messages, tools: TOOLS });
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
  const calls = answer.choices[0].message.tool_calls;
  assert.deepEqual(
    calls.map((call) => call.function.name),
    ["get_weather", "get_time"],
  );
  assert.deepEqual(JSON.parse(calls[0].function.arguments), { city: "Paris" });
  assert.notEqual(calls[0].id, calls[1].id);
  report("tools", answer.usage, answer._request_id);

  messages.push(answer.choices[0].message);
  for (const call of calls) {
    messages.push({ role: "tool", tool_call_id: call.id, content: `result of ${call.function.name}` });
  }
  const after = await client.chat.completions.create({ model: MODEL, messages, tools: TOOLS });
  assert.ok(after.choices[0].message.content.startsWith("The tool answered: "));
  report("tool_results", after.usage, after._request_id);
}

{
  const runner = client.chat.completions.stream({
    model: MODEL,
    messages: user(CALLS),
    tools: TOOLS,
    stream_options: { include_usage: true },
  });
  const answer = await runner.finalChatCompletion();
  const calls = answer.choices[0].message.tool_calls;
  assert.deepEqual(
    calls.map((call) => call.function.name),
    ["get_weather", "get_time"],
  );
  assert.deepEqual(JSON.parse(calls[1].function.arguments), { zone: "UTC" });
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
  report("streamed_tools", answer.usage);
}

{
  const answer = await client.chat.completions.parse({
    model: MODEL,
    messages: user("Invent a person."),
    response_format: {
      type: "json_schema",
      json_schema: {
        name: "person",
        strict: true,
        schema: {
          type: "object",
          properties: { name: { type: "string" }, age: { type: "integer" } },
          required: ["name", "age"],
          additionalProperties: false,
        },
      },
    },
  });
  const person = JSON.parse(answer.choices[0].message.content);
  assert.deepEqual(Object.keys(person).sort(), ["age", "name"]);
  report("structured", answer.usage, answer._request_id);
}

{
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes(MODEL), names.join(", "));
  assert.equal((await client.models.retrieve(MODEL)).id, MODEL);
  report("models");
}

if (EMBEDDINGS) {
  for (const options of [{}, { encoding_format: "float" }]) {
    const answer = await client.embeddings.create({ model: EMBEDDINGS, input: ["first", "second"], ...options });
    assert.deepEqual(
      answer.data.map((row) => row.index),
      [0, 1],
    );
    assert.ok(answer.data[0].embedding.length > 0 && answer.data[0].embedding.every((x) => typeof x === "number"));
    report("embeddings", answer.usage);
  }
}

{
  await assert.rejects(
    client.chat.completions.create({ model: "no-such-model", messages: user("Hello") }),
    (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found",
  );
  await assert.rejects(
    client.chat.completions.create({ model: MODEL, messages: "not a list" }),
    (error) => error instanceof OpenAI.BadRequestError && error.type === "invalid_request_error",
  );
  report("errors");
}
