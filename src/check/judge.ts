/** The verdicts that both programs have, on this host and on the other one. Pure. */
import { durationText, sizeText } from '../amounts.ts';
import { type DiskUse, judgeDisk, type StatusLimits } from '../status/limits.ts';
import { quoted } from '../system/printable.ts';
import { failure, good, unknown, type Verdict } from './check.ts';

/** Ages and lags of two hosts are compared by people and by monitoring; PostgreSQL itself does not mind. */
const greatestSkewS = 10;

/** @param skewS the other host's clock minus ours; `withinS`: the time that the question took */
export function judgeClock(host: string, skewS: number | undefined, withinS: number): Verdict {
  if (skewS === undefined) return unknown(`${host} did not say its time`);
  const off = Math.abs(skewS);
  const words = `the clock of ${host} is ${durationText(off)} ${skewS < 0 ? 'behind' : 'ahead of'} this host's`;
  if (off <= greatestSkewS + withinS)
    return good(off < 1.5 + withinS ? `the clocks of ${host} and this host agree` : words);
  return failure(words, 'Let both hosts set their clocks by NTP (chrony, systemd-timesyncd).');
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

/** The rsync of the other end. `configured`: whether the INI file says that it is one of 2.x. */
export function judgeRsync(host: string, said: string, configured: 2 | 3): Verdict {
  const version = rsyncVersionIn(said);
  if (version === undefined)
    return failure(
      `there is no rsync on ${host}: ${quoted(said, 200) || 'it printed nothing'}`,
      'Install it there, or add --rsync-path=PATH to rsync_flags:.',
    );
  const isOld = version.startsWith('2.');
  if (isOld !== (configured === 2))
    return failure(
      `rsync on ${host} is ${version}, but the INI file says rsync_version: ${configured}`,
      `Set rsync_version: ${isOld ? 2 : 3}.`,
    );
  return good(`rsync on ${host} is ${version}`);
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
