/** `synchronous_standby_names` here, once this host is the primary: a commit must find the standbys that it waits for. Pure. */
import { namedAmong, parseSynchronousNames } from '../../../../postgres/synchronous-names.ts';
import { quoted } from '../../../../system/printable.ts';
import { type Objection, when } from '../../../steps/objections.ts';
import type { BeforeFacts } from './facts.ts';
import type { Remark } from './remarks.ts';

const key = 'synchronous_standby_names';

export type SynchronousFacts = Pick<
  BeforeFacts,
  'settings' | 'primary' | 'oldPrimary' | 'others' | 'streamingHere'
>;

function byName(names: readonly (string | undefined)[]): readonly string[] {
  return names.filter((name) => name !== undefined);
}

/** Those who will stream from this host, and do not yet. */
function comingOf({ primary, oldPrimary, others, streamingHere }: SynchronousFacts): readonly string[] {
  const there = new Set(streamingHere.map((name) => name.toLowerCase()));
  return byName([
    oldPrimary?.streamsAs ?? primary.streamsAs,
    ...others.filter(({ isLeftStopped }) => isLeftStopped !== true).map(({ streamsAs }) => streamsAs),
  ]).filter((name) => !there.has(name.toLowerCase()));
}

function waitingOf(facts: SynchronousFacts) {
  const value = facts.settings.get(key) ?? '';
  const wanted = parseSynchronousNames(value);
  const coming = comingOf(facts);
  return {
    setting: `${key} = '${quoted(value)}' here`,
    wanted,
    coming,
    now: wanted === undefined ? [] : namedAmong(wanted, facts.streamingHere),
    later: wanted === undefined ? [] : namedAmong(wanted, coming),
  };
}

const change = `ALTER SYSTEM SET ${key} = '…', then SELECT pg_reload_conf()`;

/** Commits would wait without an end. */
export function synchronousObjections(facts: SynchronousFacts): readonly Objection[] {
  const { setting, wanted, coming, now, later } = waitingOf(facts);
  if (wanted === undefined)
    return [{ message: `${setting} is not understood`, hint: `Correct it here: ${change}` }];
  const found = [...now, ...later];
  if (found.length >= wanted.count) return [];
  const only =
    found.length === 0 ? 'none' : `only ${found.length} (${found.map((name) => quoted(name)).join(', ')})`;
  const streaming = [...facts.streamingHere, ...coming].map((name) => quoted(name)).join(', ');
  return [
    {
      message: `${setting} lets each commit wait for ${wanted.count} of the standbys that it names, and ${only} of them will stream from this host: commits would not return after the switchover`,
      hint: `Name those that will stream (${streaming === '' ? 'there are none' : streaming}), or wait for fewer, or for none (''). Here: ${change}`,
    },
  ];
}

/** A commit must neither wait nor stop waiting unsaid. */
export function synchronousRemarks(facts: SynchronousFacts): readonly Remark[] {
  const { setting, wanted, now, later } = waitingOf(facts);
  const count = wanted?.count ?? 0;
  const before = parseSynchronousNames(facts.primary.synchronousStandbyNames ?? '')?.count ?? 0;
  const missing = count - now.length;
  return [
    ...when(missing > 0, {
      message: `${setting}: from the promotion on, each commit waits until ${missing} of these standbys ${missing === 1 ? 'streams' : 'stream'} from this host: ${later.map((name) => quoted(name)).join(', ')}`,
      hint: 'They are made to follow after action_failover has run. If clients must not wait so long, empty the setting until then.',
    }),
    ...when(before > count, {
      message:
        count === 0
          ? `the primary commits synchronously, and this host will not: ${key} is empty here`
          : `a commit on the primary waits for ${before} standbys, and on this host it will wait for ${count}`,
      hint: `If that is not wanted, here: ${change}`,
    }),
  ];
}
