use crate::client::{Answer, ClientError, Request, Transport, refusal, send_json, send_json_or_nothing};
use async_trait::async_trait;

struct Fixed(Answer);

#[async_trait]
impl Transport for Fixed {
    async fn send(&self, _: Request) -> Result<Answer, ClientError> {
        Ok(self.0.clone())
    }
    fn address(&self) -> String {
        "here".to_owned()
    }
}

fn fixed(status: u16, body: &str) -> Fixed {
    Fixed(Answer { status, body: body.as_bytes().to_vec() })
}

#[tokio::test]
async fn our_error_body_keeps_code_message_and_request_id() {
    let body = r#"{"code":"unknown_host","message":"no host web9","requestId":"r1"}"#;
    let answer = send_json::<u64>(&fixed(404, body), Request::get("/v1/x")).await;
    let Err(ClientError::Refused { status, code, message, request_id }) = answer else { panic!("{answer:?}") };
    assert_eq!(
        (status, code.as_str(), message.as_str(), request_id.as_str()),
        (404, "unknown_host", "no host web9", "r1")
    );
}

#[test]
fn a_foreign_error_page_is_shown_cut_and_without_control_characters() {
    let page = format!("\u{1b}[31m<html>{}", "x".repeat(5000));
    let said = refusal(&Answer { status: 502, body: page.into_bytes() }).to_string();
    assert!(said.contains("http_502") && said.contains("<html>"), "{said}");
    assert!(!said.contains('\u{1b}') && said.len() < 500, "{said}");
}

#[tokio::test]
async fn an_answer_of_another_shape_is_garbled_not_a_panic() {
    let answer = send_json::<u64>(&fixed(200, "\"seven\""), Request::get("/v1/x")).await;
    assert!(matches!(answer, Err(ClientError::Garbled { .. })), "{answer:?}");
}

#[tokio::test]
async fn no_content_is_nothing_and_content_is_something() {
    let nothing = send_json_or_nothing::<u64>(&fixed(204, ""), Request::get("/v1/x")).await;
    assert_eq!(nothing, Ok(None));
    let something = send_json_or_nothing::<u64>(&fixed(200, "7"), Request::get("/v1/x")).await;
    assert_eq!(something, Ok(Some(7)));
}
