import { expect, test } from 'vitest';
import type { PitrError } from '../../../../../../src/errors.ts';
import { planRehearsal, rehearsed } from '../../../../../../src/standby/actions/failover/drill/plan.ts';
import { phaseOf } from '../../../../../../src/standby/actions/failover/phases.ts';
import { planFailover } from '../../../../../../src/standby/actions/failover/plan.ts';
import { isRehearsed } from '../../../../../../src/standby/recovery/phases.ts';
import { configuration, dataDirectory, label, localFacts } from '../../../standby-facts.ts';

/** A copy by a base backup, on which no server was started yet, of a standby whose site has commands and files for a failover. */
function copy(major: string) {
  return localFacts(major, {
    state: { kind: 'stopped' },
    directory: dataDirectory(major, { backupLabel: label }),
    action: 'move the address',
    failoverConf: { files: [], configuration, mustRestart: true },
  });
}

test.each(['9.6', '11', '15', '18'])(
  'the steps on the copy are those of -F999, without those of the site (%s)',
  (major) => {
    const facts = rehearsed(copy(major));
    const all = planFailover(facts);
    const { steps } = planRehearsal(facts);
    expect(steps).toEqual(all.filter((step) => isRehearsed(phaseOf(step))));
    expect(steps.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['write-settings', 'start-server', 'promote', 'see-it-open', 'verify-write']),
    );
    const left = all.filter((step) => !steps.includes(step)).map(({ kind }) => kind);
    expect(left).toEqual(
      expect.arrayContaining(['declare-left', 'use-failover-conf', 'run-action', 'keep-streamed']),
    );
  },
);

test('the phases come in their order', () => {
  const phases = planRehearsal(rehearsed(copy('15'))).steps.map(phaseOf);
  const order = ['start', 'replay', 'promotion', 'completion'];
  const places = phases.map((phase) => order.indexOf(phase));
  expect(places).toEqual([...places].sort((a, b) => a - b));
});

test('what -F999 would ask --force for is refused without it, because a drill takes none', () => {
  const facts = rehearsed({ ...copy('15'), archive: { kind: 'unusable', reason: 'it is empty' } });
  let hint: string | undefined;
  try {
    planRehearsal(facts);
  } catch (error) {
    ({ hint } = error as PitrError);
  }
  expect(hint).toBe('Mount or repair archivedir.');
});
