//! Dates and times as JSON has them.

use crate::Timestamp;

const DAY: i64 = 86_400_000;

impl Timestamp {
    /// UTC with milliseconds (RFC 3339), as JavaScript's `toJSON` writes it.
    ///
    /// ```
    /// use taskcluster_proxy_core::Timestamp;
    ///
    /// let moment = Timestamp::from_secs(1_767_225_600);
    /// assert_eq!(moment.to_rfc3339(), "2026-01-01T00:00:00.000Z");
    /// assert_eq!(Timestamp::from_rfc3339("2026-01-01T01:00:00+01:00"), Some(moment));
    /// ```
    pub fn to_rfc3339(self) -> String {
        format(self)
    }

    /// Any date and time of RFC 3339; those before 1970 count as its beginning.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        parse(text)
    }
}

fn format(moment: Timestamp) -> String {
    let days = moment.millis() / DAY.unsigned_abs();
    let (year, month, day) = civil_from_days(i64::try_from(days).unwrap_or(i64::MAX / DAY));
    let millis = moment.millis() % DAY.unsigned_abs();
    let (hour, minute) = (millis / 3_600_000, millis / 60_000 % 60);
    let (second, milli) = (millis / 1000 % 60, millis % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

fn parse(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_once(['T', 't'])?;
    let (time, offset) = split_offset(rest)?;
    let [year, month, day] = numbers(date, '-')?;
    let days = days_from_civil(year, month, day);
    // What is not a date comes back as another.
    if civil_from_days(days) != (year, month, day) {
        return None;
    }
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':')?;
    // 60 for a leap second.
    if hour > 23 || minute > 59 || second > 60 || !is_number(fraction) {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let minutes = hour * 60 + minute - offset;
    let millis = days * DAY + minutes * 60_000 + second * 1000 + millis;
    Some(Timestamp::from_millis(millis.try_into().unwrap_or(0)))
}

/// A time and its offset from UTC in minutes.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let (time, offset) = text.split_at_checked(text.rfind(['+', '-'])?)?;
    let [hours, minutes] = numbers(offset.get(1..)?, ':')?;
    let minutes = hours * 60 + minutes;
    Some((time, if offset.starts_with('-') { -minutes } else { minutes }))
}

fn numbers<const N: usize>(text: &str, separator: char) -> Option<[i64; N]> {
    let parts = text.split(separator).map(|part| {
        // Four digits at the most, so that no sum can overflow.
        (is_number(part) && part.len() <= 4).then(|| part.parse().ok()).flatten()
    });
    parts.collect::<Option<Vec<_>>>()?.try_into().ok()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Days since 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the odd
/// day comes last; 153 days are the five months from March to July, and from August to December.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - DAYS_TO_1970
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// From the first of March of the year 0.
const DAYS_TO_1970: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (1_772_366_400_001, "2026-03-01T12:00:00.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(format(Timestamp::from_millis(millis)), text);
            assert_eq!(parse(text), Some(Timestamp::from_millis(millis)), "{text}");
        }
        for day in 0..200_000 {
            let moment = Timestamp::from_secs(day * 86_400);
            assert_eq!(parse(&format(moment)), Some(moment));
        }
    }

    #[test]
    fn reads_every_spelling() {
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01t00:00:00.0z",
            "2026-01-01T00:00:00.000123Z",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T05:30:00+05:30",
            "2025-12-31T16:00:00-08:00",
        ] {
            assert_eq!(parse(text), Some(Timestamp::from_secs(1_767_225_600)), "{text}");
        }
        assert_eq!(parse("1969-12-31T23:59:59Z"), Some(Timestamp::default()));
    }

    #[test]
    fn refuses_what_is_no_date() {
        for text in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.é0Z",
            "+026-01-01T00:00:00Z",
            "99999999999-01-01T00:00:00Z",
            "2026-01-01T00:00:00é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
