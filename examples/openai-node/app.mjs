// openai-node through Tollgate: only the base URL changes, here or with OPENAI_BASE_URL.
//
//     npm install openai
//     OPENAI_BASE_URL=http://127.0.0.1:4000/v1 OPENAI_API_KEY=unused node app.mjs
import OpenAI from "openai";

const client = new OpenAI();

// `withResponse` shows what Tollgate decided; a plain `await` gives the same answer.
const { data: answer, response } = await client.chat.completions
  .create(
    { model: "auto", messages: [{ role: "user", content: "What is the capital of France?" }] },
    { headers: { "x-tollgate-tags": "feature=example" } },
  )
  .withResponse();
console.log(answer.choices[0].message.content);
console.log(
  `answered by ${response.headers.get("x-tollgate-model")} because ${response.headers.get("x-tollgate-reason")}`,
);
console.log(
  `cost in USD: ${response.headers.get("x-tollgate-cost") ?? "unknown"} for ${answer.usage.total_tokens} tokens`,
);

const stream = await client.chat.completions.create({
  model: "auto",
  messages: [{ role: "user", content: "Prove that there are infinitely many primes." }],
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  if (chunk.usage && chunk.choices.length === 0) console.log(`\ntokens: ${chunk.usage.total_tokens}`);
  else process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}
