/**
 * Moments in time as a DBA writes them and as a server prints them. PostgreSQL counts microseconds, so
 * JavaScript's dates are too coarse: a moment is a bigint of microseconds since 1970 in UTC.
 */

export type ParsedTimestamp =
  { readonly kind: 'moment'; readonly micros: bigint } | { readonly kind: 'bad'; readonly reason: string };

const shape =
  /^(?<date>\d{4}-\d{2}-\d{2})[ T](?<time>\d{2}:\d{2}(?::\d{2})?)(?:\.(?<fraction>\d{1,6}))?\s*(?<zone>[A-Za-z+-].*)?$/;

/**
 * Reads `2008-05-28 11:00:38.059389`, with or without an offset (`+02`, `-07:30`, `Z`) or the name of a zone. Without
 * one, `serverZone` applies, the server's TimeZone setting. Abbreviations (CEST) are refused, because they mean
 * different things in different places. Local times that a change of the clock skips or repeats are refused as well.
 */
export function parseTimestamp(text: string, serverZone: string): ParsedTimestamp {
  const groups = shape.exec(text.trim())?.groups;
  if (groups === undefined) return bad(`'${text}' is not a timestamp such as '2008-05-28 11:00:38.059389'`);
  const { date = '', time = '', fraction = '', zone } = groups;
  const local = utcMillisOf(date, time);
  if (local === undefined) return bad(`'${text}' names a date or time that does not exist`);
  const fractionMicros = BigInt(fraction.padEnd(6, '0'));
  const instant = instantOf(local, zone ?? serverZone, text);
  return typeof instant === 'string' ? bad(instant) : moment(BigInt(instant) * 1000n + fractionMicros);
}

const timeOfDay = /^\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?$/;

/**
 * Adds the date to a time of day such as `11:00`: that of the last moment before `now` at which the clock in `zone`
 * showed it. Any other text is returned unchanged.
 *
 * @param now microseconds since 1970
 */
export function withDate(text: string, now: bigint, zone: string): string {
  const time = text.trim();
  if (!timeOfDay.test(time)) return text;
  const dayMicros = 86_400_000_000n;
  for (const then of [now, now - dayMicros, now - 2n * dayMicros]) {
    const dated = `${formatInZone(then, zone).slice(0, 10)} ${time}`;
    const parsed = parseTimestamp(dated, zone);
    // A text that cannot be read is refused later, with its reason.
    if (parsed.kind === 'bad' || parsed.micros <= now) return dated;
  }
  return text;
}

/** Milliseconds since 1970 as if the local time were UTC; undefined for 30 February or 25 o'clock. */
function utcMillisOf(date: string, time: string): number | undefined {
  const [hour = 0, minute = 0, second = 0] = time.split(':').map(Number);
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const midnight = new Date(`${date}T00:00:00Z`);
  // A day that does not exist is either invalid or becomes a day of the next month.
  if (Number.isNaN(midnight.getTime()) || midnight.toISOString().slice(0, 10) !== date) return undefined;
  return midnight.getTime() + ((hour * 60 + minute) * 60 + second) * 1000;
}

/** UTC milliseconds, or the reason why there are none. */
function instantOf(localMs: number, zone: string, text: string): number | string {
  const offset = fixedOffsetMs(zone);
  if (offset !== undefined) return localMs - offset;
  if (!isKnownZone(zone)) {
    return `the time zone '${zone}' of '${text}' is not clear: add an offset from UTC, such as +02`;
  }
  const [first, ...others] = instantsOf(localMs, zone);
  if (first === undefined)
    return `in ${zone} the clock never showed '${text}': add an offset from UTC, such as +02`;
  if (others.length > 0)
    return `in ${zone} the clock showed '${text}' twice: add an offset from UTC, such as +02`;
  return first;
}

/** `Z`, `UTC`, `+02`, `+0200`, `+02:00`, `-07:30:00`: east of Greenwich is positive. */
function fixedOffsetMs(zone: string): number | undefined {
  if (/^(?:Z|UTC|GMT)$/i.test(zone)) return 0;
  const match = /^([+-])(\d{2})(?::?([0-5]\d)(?::?([0-5]\d))?)?$/.exec(zone);
  if (match === null || Number(match[2]) > 15) return undefined;
  const seconds = (Number(match[2]) * 60 + Number(match[3] ?? 0)) * 60 + Number(match[4] ?? 0);
  return (match[1] === '-' ? -seconds : seconds) * 1000;
}

/**
 * Names of three letters are refused: Intl takes abbreviations for zones of its own choice (IST for India's), and
 * PostgreSQL may read them otherwise. Longer names are the same in both.
 */
function isKnownZone(zone: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{3,}$/.test(zone)) return false;
  try {
    formatterOf(zone);
    return true;
  } catch {
    return false;
  }
}

/** Every moment at which the clock in `zone` shows `localMs`: one, or none or two around a change. */
function instantsOf(localMs: number, zone: string): number[] {
  const dayMs = 24 * 60 * 60 * 1000;
  const offsets = new Set([-dayMs, 0, dayMs].map((shift) => offsetMsAt(localMs + shift, zone)));
  return [...offsets]
    .map((offset) => localMs - offset)
    .filter((instant) => instant + offsetMsAt(instant, zone) === localMs)
    .sort((a, b) => a - b);
}

function offsetMsAt(instantMs: number, zone: string): number {
  const parts = new Map(
    formatterOf(zone)
      .formatToParts(instantMs)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? 0;
  const shown = Date.UTC(
    part('year'),
    part('month') - 1,
    part('day'),
    part('hour'),
    part('minute'),
    part('second'),
  );
  return shown - Math.floor(instantMs / 1000) * 1000;
}

function formatterOf(zone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
}

/** `2008-05-28 09:00:38.059389+00`, which every server reads in the same way, whatever its time zone. */
export function formatUtc(micros: bigint): string {
  return format(micros, 0);
}

/** The moment as a server with this TimeZone prints it; in UTC if this host does not know the zone. */
export function formatInZone(micros: bigint, zone: string): string {
  const fixed = fixedOffsetMs(zone);
  if (fixed !== undefined) return format(micros, fixed);
  return isKnownZone(zone) ? format(micros, offsetMsAt(millisOf(micros), zone)) : formatUtc(micros);
}

function format(micros: bigint, offsetMs: number): string {
  const local = new Date(millisOf(micros) + offsetMs).toISOString().slice(0, 19).replace('T', ' ');
  const fraction = String(((micros % 1_000_000n) + 1_000_000n) % 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '');
  return `${local}${fraction === '' ? '' : `.${fraction}`}${formatOffset(offsetMs)}`;
}

function formatOffset(offsetMs: number): string {
  const minutes = Math.abs(offsetMs) / 60_000;
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const rest = minutes % 60 === 0 ? '' : `:${two(minutes % 60)}`;
  return `${offsetMs < 0 ? '-' : '+'}${two(minutes / 60)}${rest}`;
}

/** Rounded down, also before 1970. */
function millisOf(micros: bigint): number {
  const rest = ((micros % 1000n) + 1000n) % 1000n;
  return Number((micros - rest) / 1000n);
}

function moment(micros: bigint): ParsedTimestamp {
  return { kind: 'moment', micros };
}

function bad(reason: string): ParsedTimestamp {
  return { kind: 'bad', reason };
}
