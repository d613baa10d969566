/** The clocks of other hosts, and the finding where one of them is off. Pure. */
import { durationText } from '../amounts.ts';
import type { Clock } from '../system/clock.ts';
import type { ClockOffset } from '../system/remote-clock.ts';
import { conclude, type Fact, NotKnown } from './fact.ts';
import { type Finding, unknownFinding } from './finding.ts';

/** Ages and lags of two hosts are compared by people and by monitoring; PostgreSQL itself does not mind. */
const greatestSkewS = 10;

export function isOff({ skewS, withinS }: ClockOffset): boolean {
  return Math.abs(skewS) > greatestSkewS + withinS;
}

/** For a table: `agrees`, `5 min 0 s behind`. */
export function clockText({ skewS, withinS }: ClockOffset): string {
  const off = Math.abs(skewS);
  return off < 1.5 + withinS ? 'agrees' : `${durationText(off)} ${skewS < 0 ? 'behind' : 'ahead'}`;
}

export function describeOffset(host: string, { skewS, withinS }: ClockOffset): string {
  const off = Math.abs(skewS);
  if (off < 1.5 + withinS) return `the clocks of ${host} and this host agree`;
  return `the clock of ${host} is ${durationText(off)} ${skewS < 0 ? 'behind' : 'ahead of'} this host's`;
}

/** `offset` is undefined if that host did not say its time. */
export function clockFact(
  deps: Pick<Clock, 'now'>,
  host: string,
  offset: ClockOffset | undefined,
): Fact<ClockOffset> {
  return conclude(deps, () => {
    if (offset === undefined) throw new NotKnown(`${host} did not say its time`);
    return offset;
  });
}

export const setClocks = 'Let both hosts set their clocks by NTP (chrony, systemd-timesyncd).';

/** For a host that was asked. `about` is its name; `words` name it in a sentence, such as `standby b`. */
export function judgeOffset(about: string, words: string, clock: Fact<ClockOffset>): Finding[] {
  if (clock.kind === 'unknown')
    return unknownFinding(
      'clock',
      `the time of ${words}`,
      clock,
      'Check that this works there: date +%s',
    ).map((finding) => ({ ...finding, about }));
  if (!isOff(clock.value)) return [];
  return [
    {
      name: 'clock',
      about,
      level: 'warning',
      message: `${describeOffset(words, clock.value)}: ages, lags and times of recovery targets are wrong by that`,
      hint: setClocks,
    },
  ];
}
