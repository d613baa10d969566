/** The verdicts that both programs have, on this host and on the other one. Pure. */
import { sizeText } from '../amounts.ts';
import { describeOffset, isOff, setClocks } from '../status/clocks.ts';
import { type DiskUse, judgeDisk, type StatusLimits } from '../status/limits.ts';
import { quoted } from '../system/printable.ts';
import type { ClockOffset } from '../system/remote-clock.ts';
import { failure, good, unknown, type Verdict } from './check.ts';

export function judgeClock(host: string, offset: ClockOffset | undefined): Verdict {
  if (offset === undefined) return unknown(`${host} did not say its time`);
  const words = describeOffset(host, offset);
  return isOff(offset) ? failure(words, setClocks) : good(words);
}

export interface SpaceUse extends DiskUse {
  /** 0 if the file system does not count them. */
  readonly inodes: number;
  readonly freeInodes: number;
}

const fewestInodes = 10_000;

export function judgeSpace(
  limits: StatusLimits,
  place: { readonly name: string; readonly path: string },
  use: SpaceUse,
): Verdict {
  const [full] = judgeDisk(limits, place, use, undefined);
  if (full !== undefined) return failure(full.message, full.hint);
  const { inodes, freeInodes } = use;
  if (inodes > 0 && freeInodes < Math.min(fewestInodes, inodes / 20))
    return failure(
      `the file system of ${place.name} (${place.path}) has only ${freeInodes} free inodes of ${inodes}: no file can be made without one`,
      'Remove small files there, or use another file system.',
    );
  return good(`${sizeText(use.freeBytes)} are free for ${place.name} (${place.path})`);
}

/** The answer of df -P: the last line's sizes in 1024 bytes, or its numbers of inodes. */
export function parseDf(
  lines: readonly string[],
): { readonly all: number; readonly free: number } | undefined {
  const numbers = /\s(\d+)\s+(\d+)\s+(\d+)\s+(\d+|-)%?\s+\//.exec(lines.at(-1) ?? '');
  if (numbers === null) return undefined;
  const [used, free] = [Number(numbers[2]), Number(numbers[3])];
  return { all: used + free, free };
}

/** `rsync  version 3.2.7  protocol version 31`; also `v3.2.7`, as some builds have it. */
function rsyncVersionIn(text: string): string | undefined {
  return /\bversion v?(\d+\.\d+[\w.]*)/.exec(text)?.[1];
}

/**
 * The rsyncs of both ends by their own words. `configured`: `rsync_version`, which must be 2 if one of them is of 2.x;
 * undefined where the INI file has no such key.
 */
export function judgeRsync(
  host: string,
  said: { readonly here: string; readonly there: string },
  configured: 2 | 3 | undefined,
): Verdict {
  const there = rsyncVersionIn(said.there);
  const here = rsyncVersionIn(said.here);
  if (there === undefined)
    return failure(
      `there is no rsync on ${host}: ${quoted(said.there, 200) || 'it printed nothing'}`,
      'Install it there, or add --rsync-path=PATH to rsync_flags:.',
    );
  if (here === undefined)
    return unknown(
      `rsync on ${host} is ${there}, and the one here does not say its version`,
      'See the check paths.',
    );
  const words = `rsync on ${host} is ${there}, and ${here} here`;
  const isOld = [there, here].some((version) => version.startsWith('2.'));
  if (configured !== undefined && isOld !== (configured === 2))
    return failure(
      `${words}, but the INI file says rsync_version: ${configured}`,
      `Set rsync_version: ${isOld ? 2 : 3}.`,
    );
  return good(words);
}

/** The release without what distinguishes builds of it: `2.0` of `2.0.0-dev`. */
const releaseOf = (version: string): string => version.split('.').slice(0, 2).join('.');

export function judgeOtherProgram(host: string, theirs: string, ours: string): Verdict {
  if (theirs === ours) return good(`cmd_standby on ${host} is of the same release, ${ours}`);
  if (!/^\d+\.\d+/.test(theirs))
    return failure(
      `cmd_standby on ${host} does not run: ${quoted(theirs, 300) || 'it printed nothing'}`,
      'Install pitrtools and Node.js there (doc/install.md), then run cmd_standby -C FILE -I there.',
    );
  const words = `cmd_standby on ${host} is ${quoted(theirs, 50)}, and this is ${ours}`;
  if (releaseOf(theirs) === releaseOf(ours)) return good(words);
  return failure(
    words,
    'Install the same release on all hosts: otherwise one may misunderstand the questions of another.',
  );
}
