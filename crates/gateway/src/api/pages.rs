//! The pages: HTML that is whole without a script. Each is a file; the frame around them is here.

mod decide;
mod requests;
mod spend;

use axum::response::{Html, IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use super::{Problem, assets};
use crate::app::App;

pub(super) use decide::page as decide;
pub(super) use requests::{list as requests, one as request};
pub(super) use spend::page as spend;

/// Path, name and script of each page, in the order of the navigation: a new page is a row here and a route.
const PAGES: [(&str, &str, Option<&str>); 3] = [
    ("/", "Spend", Some("/assets/spend.js")),
    ("/decide", "Decide", Some("/assets/decide.js")),
    ("/requests", "Requests", None),
];

/// A page: `path` is its place in the navigation.
fn frame(app: &App, path: &str, title: &str, body: &Markup) -> Html<String> {
    let script = PAGES.iter().find(|(at, ..)| *at == path).and_then(|(.., script)| *script);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Tollgate" }
                link rel="stylesheet" href="/assets/style.css";
                link rel="icon" href="data:,";
                // deferred, all: the page is read before they run, in this order
                @if let Some(script) = script {
                    script defer src=(*assets::PLOTLY) {}
                    script defer src="/assets/charts.js" {}
                    script defer src=(script) {}
                }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header { div {
                    a.brand href="/" { "Tollgate" }
                    nav aria-label="Pages" { ul { @for (at, name, _) in PAGES { li {
                        a href=(at) aria-current=[(at == path).then_some("page")] { (name) }
                    } } } }
                    a.right href="/api/openapi.json" { "API" }
                } }
                main id="main" {
                    @if let Some(notice) = app.notice.get() { p.notice { (notice) } }
                    (body)
                }
            }
        }
    };
    Html(page.into_string())
}

/// An error as a page, for a browser.
fn problem(app: &App, path: &str, error: &Problem) -> Response {
    let body = html! {
        h1 { "That did not work" }
        p.notice.bad { (error.message) }
        p { a href=(path) { "Start again without filters" } }
    };
    (error.status, frame(app, path, "Error", &body)).into_response()
}
