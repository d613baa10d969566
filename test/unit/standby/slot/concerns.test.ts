import { describe, expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import { sendsWal, type Watched } from '../../../../src/standby/primary/liveness/watched.ts';
import { slotNeed } from '../../../../src/standby/slot/concerns.ts';
import { ensureSlot } from '../../../../src/standby/slot/there.ts';
import { slot } from './slots-there.ts';

const lost = slot({ status: 'lost' });
const invalid = slot({ status: 'lost', isActive: true });

describe('-P and the slot of the standby', () => {
  const recovers = () => Promise.resolve(true);
  const isStopped = () => Promise.resolve(false);
  const unasked = () => Promise.reject(new Error('asked'));

  test.each([
    ['keeps WAL', slot(), unasked, 'none'],
    ['is missing', undefined, recovers, 'make'],
    ['has lost its WAL', lost, recovers, 'make'],
    ['is missing, and no standby runs', undefined, isStopped, 'later'],
    ['has lost its WAL, and no standby runs', lost, isStopped, 'later'],
    ['is used although it was invalidated', invalid, unasked, 'start-anew'],
  ])('that %s', async (_, found, askRecovers, need) => {
    expect(await slotNeed(found, askRecovers)).toBe(need);
  });

  test('of a server in recovery as well, from which a standby can stream', () => {
    const all: readonly Watched[] = [
      'alive',
      'dead',
      'unreachable',
      'unasked',
      'silent',
      'in-recovery',
      'other-cluster',
    ];
    expect(all.filter(sendsWal)).toEqual(['alive', 'in-recovery']);
  });
});

test.each([
  ['in use', 'true', 'present', 0],
  ['not in use', 'false', 'renewed', 2],
])('a lost slot that is %s', async (_, active, made, changes) => {
  const asked: string[] = [];
  const { name } = slot();
  const query = (sql: string) => {
    asked.push(sql);
    return Promise.resolve(
      sql.includes('AS slot')
        ? [[name, 'physical', active, '', 'lost', '0']]
        : [['p', 'true', '10', 'replica']],
    );
  };
  expect(await ensureSlot(query, capabilitiesOf(parseVersion('17')), name)).toBe(made);
  expect(asked.filter((sql) => /pg_(create_physical|drop)_replication_slot/.test(sql))).toHaveLength(changes);
});
