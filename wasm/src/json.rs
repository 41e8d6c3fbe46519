//! JSON parsed by JavaScript, which keeps a JSON parser out of the module.

use taskcluster_proxy_core::credentials::JsonValue;
use wasm_bindgen::prelude::*;
use zeroize::Zeroizing;

/// A value that `JSON.parse` returned.
pub(crate) struct Json(JsValue);

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = JSON, js_name = parse, catch)]
    fn parse_json(text: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_namespace = Array, js_name = isArray)]
    fn is_array(value: &JsValue) -> bool;

    #[wasm_bindgen(js_namespace = Array, js_name = from)]
    fn items(array: &JsValue) -> Vec<JsValue>;

    #[wasm_bindgen(js_namespace = Reflect, js_name = get, catch)]
    fn get(object: &JsValue, name: &str) -> Result<JsValue, JsValue>;
}

/// The error for a text that is not JSON.
pub(crate) const EXPECTED: &str = "expected JSON, found a syntax error";

/// The value of a JSON text; `None` if it is not JSON.
pub(crate) fn parse(text: &str) -> Option<Json> {
    parse_json(text).ok().map(Json)
}

impl JsonValue for Json {
    fn kind(&self) -> &'static str {
        match &self.0 {
            value if value.is_null() => "null",
            value if value.is_string() => "a string",
            value if is_array(value) => "an array",
            value if value.is_object() => "an object",
            value if value.as_bool().is_some() => "a boolean",
            _ => "a number",
        }
    }

    fn string(&self) -> Option<Zeroizing<String>> {
        self.0.as_string().map(Zeroizing::new)
    }

    fn number(&self) -> Option<u64> {
        // Greater numbers may differ from the number in the text.
        const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;
        let number = self.0.as_f64()?;
        let whole = number as u64;
        (number <= MAX_SAFE_INTEGER && whole as f64 == number).then_some(whole)
    }

    fn items(&self) -> Option<Vec<Self>> {
        is_array(&self.0).then(|| items(&self.0).into_iter().map(Self).collect())
    }

    fn member(&self, name: &str) -> Option<Self> {
        get(&self.0, name).ok().filter(|value| !value.is_undefined()).map(Self)
    }
}
