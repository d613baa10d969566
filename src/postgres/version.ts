/**
 * PostgreSQL's version numbers, in every form in which they occur: `server_version`, `server_version_num`, a
 * program's `--version`, a data directory's `PG_VERSION`, the INI's `pgversion`.
 *
 * `capabilities.ts` lists what each version can do; no other code compares versions.
 */
import { PitrError } from '../errors.ts';

export interface Version {
  /** As PostgreSQL names a major release: `8.4`, `9.6`, `15`. */
  readonly major: string;
  /** As `server_version_num`: 80413, 90624, 150018; the minor part is 0 where it is not known. */
  readonly num: number;
}

/**
 * Finds the version in `text`, such as `8.4.13`, `15`, `15.18 (Debian 15.18-0+deb12u1)`, `18beta1`,
 * `pg_ctl (PostgreSQL) 18.4` or `150018`. The first number that looks like a version is taken.
 */
export function parseVersion(text: string): Version {
  const version = findVersion(text);
  if (version !== undefined) return version;
  throw new PitrError(`not a PostgreSQL version: '${text.trim()}'`, {
    hint: 'A version looks like 8.4, 9.6.24 or 15.',
  });
}

/** A vendor may add a word (`-EDB`, `_custom`, `lts6`) or further numbers; `beta1`, `rc1` and `devel` are PostgreSQL's own. */
const number =
  /(?<=^|[\s(])([0-9]{1,2})(?:\.([0-9]{1,2}))?(?:\.([0-9]{1,2}))?(?:\.[0-9]+)*(?=$|[\s),;+_~-]|[a-z])/gi;

/** The same, for text that need not hold a version. */
export function findVersion(text: string): Version | undefined {
  const digits = /^\s*([0-9]{5,6})\s*$/.exec(text)?.[1];
  if (digits !== undefined) return versionOfNum(Number(digits));
  for (const [, first, second, third] of text.matchAll(number)) {
    const version = versionOf(Number(first), second, third);
    if (version !== undefined) return version;
  }
  return undefined;
}

/** From 10 on a version has two parts, before 10 three; PostgreSQL ignores what a vendor adds. */
function versionOf(
  first: number,
  second: string | undefined,
  third: string | undefined,
): Version | undefined {
  if (first >= 10) return versionOfNum(first * 10_000 + Number(second ?? 0));
  if (second === undefined) return undefined;
  return versionOfNum(first * 10_000 + Number(second) * 100 + Number(third ?? 0));
}

/** Made from `server_version_num`. */
export function versionOfNum(num: number): Version {
  const first = Math.floor(num / 10_000);
  const major = first >= 10 ? String(first) : `${first}.${Math.floor(num / 100) % 100}`;
  return { major, num };
}

/** Are both of the same major release? Only then can a server run on the other's data directory. */
export function isSameMajor(a: Version, b: Version): boolean {
  return a.major === b.major;
}

/** `8.4.13`, `15.18`: the form of the PostgreSQL project. */
export function formatVersion(version: Version): string {
  const minor = version.num >= 100_000 ? version.num % 10_000 : version.num % 100;
  return `${version.major}.${minor}`;
}
