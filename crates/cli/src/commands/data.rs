//! `get` and `set`.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{Command, CommandError, Context, version, with_watch_for_third};
use crate::options::{Options, flag, valued};
use crate::print::{hexdump, stat_block};

/// Shows the data.
pub const GET: Command = Command {
    name: "get",
    syntax: "[-s] [-w] [-b] [-x] path",
    details: "\n -b   Output data in base64 format\n -s   Print znode stats additionally\n \
              -w   Watch for changes on the znode\n -x   Output data in hexdump format\n",
    run: get,
};
/// Replaces the data.
pub const SET: Command = Command {
    name: "set",
    syntax: "path data [-s] [-v version] [-b]",
    details: "\n -b         Supply data in base64 format\n -s         Print znode stats additionally\n \
              -v <arg>   Set with an expected version\n",
    run: set,
};

const GET_OPTIONS: Options = Options::free(&[flag("s"), flag("w"), flag("b"), flag("x")]);
const SET_OPTIONS: Options = Options::free(&[flag("s"), valued("v"), flag("b")]);

/// Java's decoder does not ask for padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn get(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let mut line = GET_OPTIONS.parse(words)?;
    if line.words.len() < 2 {
        return Err(GET.usage());
    }
    if line.words.len() > 2 {
        context
            .screen
            .err("'get path [watch]' has been deprecated. Please use 'get [-s] [-w] path' instead.");
        line = GET_OPTIONS.parse(&with_watch_for_third(words))?;
    }
    let path = line.words.get(1).ok_or_else(|| GET.usage())?;
    let (data, stat) = context.client.data(path, line.has("w"))?;
    let data = data.unwrap_or_else(|| b"null".to_vec());
    let text = if line.has("x") {
        hexdump(&data)
    } else if line.has("b") {
        BASE64.encode(&data)
    } else {
        String::from_utf8_lossy(&data).into_owned()
    };
    context.screen.out(&text);
    if line.has("s") {
        context.screen.out(&stat_block(&stat));
    }
    Ok(())
}

fn set(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = SET_OPTIONS.parse(words)?;
    let [_, path, text, ..] = &line.words[..] else { return Err(SET.usage()) };
    let data = if line.has("b") {
        BASE64.decode(text).map_err(|error| CommandError::new(format!("{text}: {error}")))?
    } else {
        text.clone().into_bytes()
    };
    let stat = context.client.set_data(path, &data, version(&line)?)?;
    if line.has("s") {
        context.screen.out(&stat_block(&stat));
    }
    Ok(())
}
