"""openai-python through Tollgate: only the base URL changes, here or with OPENAI_BASE_URL.

    pip install openai
    OPENAI_BASE_URL=http://127.0.0.1:4000/v1 OPENAI_API_KEY=unused python app.py
"""

import openai

client = openai.OpenAI()

# The raw response shows what Tollgate decided; plain `client.chat.completions.create` gives the same answer.
raw = client.chat.completions.with_raw_response.create(
    model="auto",
    messages=[{"role": "user", "content": "What is the capital of France?"}],
    extra_headers={"x-tollgate-tags": "feature=example"},
)
answer = raw.parse()
print(answer.choices[0].message.content)
print("answered by", raw.headers["x-tollgate-model"], "because", raw.headers["x-tollgate-reason"])
print("cost in USD:", raw.headers.get("x-tollgate-cost", "unknown"), "for", answer.usage.total_tokens, "tokens")

stream = client.chat.completions.create(
    model="auto",
    messages=[{"role": "user", "content": "Prove that there are infinitely many primes."}],
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    elif chunk.usage:
        print("\ntokens:", chunk.usage.total_tokens)
