//! The dictionary with which every SPDY/3 header stream is primed (SPDY/3 draft, section 2.6.10.1).

use std::sync::LazyLock;

/// Adler-32 of [`bytes()`], as it stands in the zlib header of every compliant stream.
pub const ADLER32: u32 = 0xe3c6_a7c2;

/// The strings that stand in the dictionary with their length in front, in order.
const WITH_LENGTH: &str = "options|head|post|put|delete|trace|accept|accept-charset|accept-encoding|\
accept-language|accept-ranges|age|allow|authorization|cache-control|connection|content-base|\
content-encoding|content-language|content-length|content-location|content-md5|content-range|\
content-type|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|\
if-unmodified-since|last-modified|location|max-forwards|pragma|proxy-authenticate|\
proxy-authorization|range|referer|retry-after|server|te|trailer|transfer-encoding|upgrade|\
user-agent|vary|via|warning|www-authenticate|method|get|status|200 OK|version|HTTP/1.1|url|public|\
set-cookie|keep-alive|origin";

/// What follows them, without lengths.
const TAIL: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417\
502504505203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request\
401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented\
503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, \
Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,\
application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch\
charset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = Vec::with_capacity(1423);
    for string in WITH_LENGTH.split('|') {
        bytes.extend(u32::try_from(string.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(string.as_bytes());
    }
    bytes.extend(TAIL.as_bytes());
    bytes
});

/// The dictionary itself, 1423 bytes.
pub fn bytes() -> &'static [u8] {
    &BYTES
}

#[cfg(test)]
mod tests {
    use super::{ADLER32, bytes};

    /// RFC 1950, section 9.
    fn adler32(bytes: &[u8]) -> u32 {
        let (mut a, mut b) = (1u32, 0u32);
        for &byte in bytes {
            a = (a + u32::from(byte)) % 65521;
            b = (b + a) % 65521;
        }
        b << 16 | a
    }

    #[test]
    fn the_dictionary_is_the_one_of_the_draft() {
        assert_eq!(bytes().len(), 1423);
        assert_eq!(adler32(bytes()), ADLER32);
    }
}
