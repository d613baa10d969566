/**
 * Numbers that every look at a host writes down, so that the next one can say how they change. A record for people and
 * forecasts: a lost or damaged file is begun anew.
 */
import { messageOf } from '../errors.ts';
import { type Clock, isMoment, sinceBoot } from '../system/clock.ts';
import { readIfExists } from '../system/durable.ts';
import { type Guarded, is, parseJson } from '../system/json.ts';
import type { Log } from '../system/log.ts';
import { replaceDurably } from '../system/replaceable.ts';
import type { Point } from './trend.ts';

const isSample = is.object({ at: isMoment, values: is.mapOf(is.number) });

type Sample = Guarded<typeof isSample>;

/** Samples of the same time add nothing, and old ones say nothing about now. */
const shortestGapMs = 5_000;
const keptMs = 2 * 3_600_000;
const mostSamples = 240;

/** Every second one of the older half is left out, so that the rest still covers the whole time. */
function thinned(samples: readonly Sample[]): readonly Sample[] {
  if (samples.length <= mostSamples) return samples;
  const half = samples.length / 2;
  return samples.filter((_, index) => index >= half || index % 2 === 0);
}

export interface SampleDeps extends Pick<Clock, 'moment' | 'monotonicMs'> {
  readonly log: Log;
}

export interface Samples {
  /** The numbers of that name, oldest first, with those of now. */
  readonly pointsOf: (name: string) => readonly Point[];
}

export const noSamples: Samples = { pointsOf: () => [] };

async function readSamples({ log }: SampleDeps, path: string): Promise<readonly Sample[]> {
  try {
    const content = await readIfExists(path);
    if (content === undefined) return [];
    return parseJson(content.toString('utf8'), { samples: is.listOf(isSample) }).samples;
  } catch (error) {
    log.debug(`cannot understand "${path}": ${messageOf(error)}`);
    return [];
  }
}

/** Adds the values of now to those that earlier looks have left in the file, and returns all of them. */
export async function sample(
  deps: SampleDeps,
  path: string,
  values: Readonly<Record<string, number>>,
): Promise<Samples> {
  const at = deps.moment();
  const earlier = (await readSamples(deps, path)).filter((one) => {
    const ms = sinceBoot(deps, one.at);
    return ms !== undefined && ms <= at.ms && ms >= at.ms - keptMs;
  });
  const last = earlier.at(-1);
  const all = [...earlier, { at, values }];
  if (last === undefined || at.ms - last.at.ms >= shortestGapMs) {
    const text = JSON.stringify({ samples: thinned(all) });
    await replaceDurably(path, text).catch((error: unknown) => {
      deps.log.debug(`cannot write "${path}": ${messageOf(error)}`);
    });
  }
  return {
    pointsOf: (name) =>
      all.flatMap(({ at: { ms }, values: { [name]: value } }) =>
        value === undefined ? [] : [{ ms, value }],
      ),
  };
}
