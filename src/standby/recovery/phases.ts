/** The parts of a failover. -F999 and --drill report their times by the same names. Pure. */
import { durationText } from '../../amounts.ts';
import { type Guarded, is } from '../../system/json.ts';

export const isPhase = is.object({ name: is.text, seconds: is.number });

export type Phase = Guarded<typeof isPhase>;

/**
 * From the examination of the WAL (`planning`) up to the moment at which clients can be sent to the server: what a drill
 * rehearses.
 */
const rehearsed = ['planning', 'start', 'replay', 'promotion', 'completion'] as const;

export type RehearsedPhase = (typeof rehearsed)[number];

export function isRehearsed(name: string): name is RehearsedPhase {
  return rehearsed.some((each) => each === name);
}

function sumOf(phases: readonly Phase[], counts: (name: string) => boolean): number {
  return phases.filter(({ name }) => counts(name)).reduce((sum, { seconds }) => sum + seconds, 0);
}

/** The RTO as a drill has it, without what concerns other hosts and the site. */
export function rtoOf(phases: readonly Phase[]): number {
  return sumOf(phases, isRehearsed);
}

/** How long it took until the server was out of recovery. */
export function replaySeconds(phases: readonly Phase[]): number {
  return sumOf(phases, (name) => isRehearsed(name) && name !== 'planning' && name !== 'completion');
}

/** The parts of a phase may have others between them. */
export function addTo(phases: Phase[], name: string, seconds: number): void {
  const place = phases.findIndex((phase) => phase.name === name);
  const before = phases[place];
  if (before === undefined) phases.push({ name, seconds });
  else phases[place] = { name, seconds: before.seconds + seconds };
}

export function phasesText(phases: readonly Phase[]): string {
  return phases.map(({ name, seconds }) => `${name} ${durationText(seconds)}`).join(', ');
}
