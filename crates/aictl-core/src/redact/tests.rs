use super::*;

/// Secrets, each within a line as services write it, and what is left of that.
const SECRETS: &[(&str, &str)] = &[
    ("password=hunter2", "password=***"),
    ("password: hunter2 for bob", "password: *** for bob"),
    ("Password = hunter2", "Password = ***"),
    ("DB_PASSWORD=hunter2 PORT=1", "DB_PASSWORD=*** PORT=1"),
    ("passwd:x", "passwd:***"),
    ("pwd=a,b;c&d", "pwd=***"),
    ("{\"password\": \"hunter2\", \"user\": \"x\"}", "{\"password\": \"***\", \"user\": \"x\"}"),
    ("{\"password\":\"a\\\"b\",\"u\":1}", "{\"password\":\"***\",\"u\":1}"),
    ("{'api_key': 'abc def'}", "{'api_key': '***'}"),
    (
        "body=\"{\\\"api_key\\\": \\\"abc\\\", \\\"n\\\": 1}\"",
        "body=\"{\\\"api_key\\\": \\\"***\\\", \\\"n\\\": 1}\"",
    ),
    ("OPENAI_API_KEY=abc", "OPENAI_API_KEY=***"),
    ("x-api-key: abc", "x-api-key: ***"),
    ("apiKey=abc", "apiKey=***"),
    ("config.api_key=abc", "config.api_key=***"),
    ("LITELLM_MASTER_KEY=abc", "LITELLM_MASTER_KEY=***"),
    ("aws_secret_access_key = abc", "aws_secret_access_key = ***"),
    ("client_secret=abc", "client_secret=***"),
    ("secret: abc", "secret: ***"),
    ("llama-server --api-key abc --port 1", "llama-server --api-key *** --port 1"),
    ("run --password 'a b' x", "run --password '***' x"),
    ("vllm serve --api-key=abc", "vllm serve --api-key=***"),
    ("token=abcdef123", "token=***"),
    ("HF_TOKEN=abcdefgh", "HF_TOKEN=***"),
    ("\"access_token\": \"abcdefgh\"", "\"access_token\": \"***\""),
    ("auth_token: a1b2c3d4e5", "auth_token: ***"),
    ("jwt=abcdefgh", "jwt=***"),
    ("Authorization: Bearer abc def", "Authorization: ***"),
    ("authorization: Basic dXNlcjpwYXNz", "authorization: ***"),
    ("{\"Authorization\": \"Bearer abc\", \"a\": 1}", "{\"Authorization\": \"***\", \"a\": 1}"),
    ("Cookie: a=b; c=d", "Cookie: ***"),
    ("Set-Cookie: session=abc; Path=/", "Set-Cookie: ***"),
    ("using bearer a1b2c3d4e5 now", "using bearer *** now"),
    ("got Bearer abcdefghijklmnopqrstuvwxyz", "got Bearer ***"),
    ("Basic dXNlcjpwYXNzd29yZA==", "Basic ***"),
    ("key sk-1234 is", "key *** is"),
    ("sk-proj-abcDEF0123456789", "***"),
    ("sk-ant-api03-abcdef012345", "***"),
    ("(hf_abcdefghijklmnopqrstuvwxyz012345)", "(***)"),
    ("ghp_0123456789abcdef0123", "***"),
    ("github_pat_11ABCDEFG0abcdefghij", "***"),
    ("glpat-abcdefghij0123456789", "***"),
    ("nvapi-abcdefghij0123456789", "***"),
    ("AKIAIOSFODNN7EXAMPL3", "***"),
    ("xoxb-1234567890-abc", "***"),
    ("it was sk-12345. Then", "it was ***. Then"),
    ("PWD=abc", "PWD=***"),
    ("password=\" a b\" c", "password=\"***\" c"),
    ("password='' token=\"abc def\"", "password='' token=\"***\""),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_1", "***"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", "***"),
    ("x -----BEGIN OPENSSH PRIVATE KEY----- b3Bl", "x ***"),
    ("http://me:hunter2@host:80/path", "http://***@host:80/path"),
    ("postgresql://me:p@ss@db/x failed", "postgresql://***@db/x failed"),
    ("redis://:hunter2@localhost", "redis://***@localhost"),
    ("https://token@github.com/x", "https://***@github.com/x"),
    ("GET http://h/x?key=abc&b=1 200", "GET http://h/x?*** 200"),
    ("\"GET /v1/models?api_key=abc HTTP/1.1\" 200", "\"GET /v1/models?*** HTTP/1.1\" 200"),
    ("/callback?code=abc", "/callback?***"),
    ("/x?flag&b=1", "/x?***"),
    ("/home/alice/models/x.gguf", "~/models/x.gguf"),
    ("model=/home/alice", "model=~"),
    ("'/home/alice.b-c/x'", "'~/x'"),
    ("/home/älice/x", "~/x"),
    ("/var/home/alice/x", "~/x"),
    ("file:///home/alice/x", "file://~/x"),
    ("/root/.cache/x", "~/.cache/x"),
    ("HOME=/root", "HOME=~"),
    ("a password=b c token=abcdef12 d", "a password=*** c token=*** d"),
];

/// What looks like a secret to a machine and is none.
const NO_SECRETS: &[&str] = &[
    "",
    "plain words",
    "Ünïcödé ✓ stays",
    "max_tokens=4096",
    "max_tokens: 4096, temperature: 0.7",
    "prompt tokens: 128, completion tokens: 512",
    "eval time = 12.3 ms / 15 tokens (0.82 ms per token, 1219.51 tokens per second)",
    "llm_load_print_meta: BOS token        = 1 '<s>'",
    "print_info: EOS token             = 128009 '<|eot_id|>'",
    "print_info: EOG token = 2 '</s>'",
    "eos_token_id: 2",
    "eos_token=<|im_end|>",
    "\"bos_token\": \"<|begin_of_text|>\"",
    "pad_token = \"<pad_token_0>\"",
    "token_count=17",
    "token: 5",
    "token=12345678",
    "unexpected token: identifier",
    "tokenizer=llama-bpe",
    "special tokens cache size = 256",
    "first token after 120 ms",
    "password authentication failed for user",
    "Enter password:",
    "the secret of success",
    "secret: null",
    "password=None, user=x",
    "api_key: ***",
    "no api key was given",
    "api keys are read from the environment",
    "PWD=/var/lib/ollama OLDPWD=/",
    "monkey=banana",
    "key=value",
    "keyboard: us",
    "compass: north",
    "bypass=yes",
    "bearer of news",
    "Bearer authentication required",
    "basic functionality",
    "Basic settings apply",
    "sk-learn",
    "task-1234 done",
    "disk-0123456789abcdef",
    "hf_transfer is not installed",
    "from huggingface_hub import hf_hub_download",
    "gsk_",
    "eyJ",
    "sha256:6a0746a1ec1aef3e7ec53868f220ff6e389f6f8ef87a01d77c96807de94ca2aa",
    "commit e411c9ea640b08a981d342b75fccf6eb0143be34",
    "request 123e4567-e89b-12d3-a456-426614174000",
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----",
    "listening on http://127.0.0.1:11434",
    "https://ollama.com/library/llama3",
    "https://host/a@b",
    "mail me@example.com",
    "std::vec::Vec",
    "really? yes",
    "what?",
    "a ? b : c",
    "/homes/x",
    "/home",
    "/home/",
    "/opt/home/page",
    "/rootfs/x",
    "http://host/root/x",
    "/srv/root",
    "[GIN] 2026/11/22 - 12:00:00 | 200 | 1.2ms | 127.0.0.1 | GET \"/api/tags\"",
    "{\"level\":\"info\",\"msg\":\"ready\",\"port\":8080}",
    "time=2026-11-22T12:00:00.000Z level=INFO source=routes.go:1234 msg=\"inference compute\"",
];

#[test]
fn secrets_are_taken_out() {
    for (text, redacted) in SECRETS {
        assert_eq!(redact(text), *redacted, "{text}");
    }
}

#[test]
fn what_only_looks_like_one_stays() {
    for text in NO_SECRETS {
        assert_eq!(redact(text), *text);
        assert!(matches!(redact(text), Cow::Borrowed(_)), "{text}");
    }
}

#[test]
fn what_was_redacted_stays_as_it_is() {
    for (text, redacted) in SECRETS {
        assert_eq!(redact(redacted), *redacted, "of {text}");
    }
}

#[test]
fn secrets_are_found_wherever_they_stand() {
    let mut neighbours =
        vec![("", ""), ("x ", " y"), ("ü", "ü"), ("\"", "\""), ("(", ")"), ("\n", "\n")];
    neighbours.push(("=", ""));
    for (before, after) in neighbours {
        let text = format!("{before}sk-proj-abcDEF0123456789{after}");
        assert_eq!(redact(&text), format!("{before}***{after}"));
    }
}

#[test]
fn a_text_is_cut_after_it_was_redacted() {
    assert_eq!(redact(&"x".repeat(MAX_TEXT)).len(), MAX_TEXT);
    for text in ["x".repeat(MAX_TEXT + 1), "x".repeat(1 << 20), "€".repeat(MAX_TEXT)] {
        let redacted = redact(&text);
        assert!(redacted.len() <= MAX_TEXT && redacted.ends_with('…'), "{}", redacted.len());
    }
    // A secret across the place of the cut.
    for shift in 0..40 {
        let text = "x".repeat(MAX_TEXT - 30 + shift) + " sk-proj-abcDEF0123456789";
        assert!(!redact(&text).contains("abc"), "{shift}");
    }
}

/// Each of these would take minutes if a rule looked at the text again and again.
#[test]
fn no_text_takes_long() {
    for piece in [
        "?", "?a", "password", "-", "a-", "a.", "://", "://@", "\"", "\\\"", "/home/", "sk-",
        "bearer ", "token=\"", "eyJ.",
    ] {
        let text = piece.repeat(MAX_LOOKED_AT / piece.len());
        assert!(redact(&text).len() <= MAX_TEXT);
    }
}

/// What the fuzzer begins with, and what it has found.
#[test]
fn what_was_fuzzed_is_bounded() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/seeds/redactor");
    for seed in std::fs::read_dir(seeds).unwrap() {
        let text = std::fs::read(seed.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&text);
        let secret = "sk-proj-aB3dE5gH7jK9mN1pQ3sT5vW7yZ9";
        let said = format!("{text} password={secret}");
        let redacted = redact(&said);
        assert!(redacted.len() <= MAX_TEXT && !redacted.contains(secret), "{redacted}");
    }
}
