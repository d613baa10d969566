import { describe, expect, test } from 'vitest';
import type {
  BeforeFacts,
  SwitchoverFacts,
} from '../../../../../../src/standby/actions/failover/switchover/facts.ts';
import { followerObjections } from '../../../../../../src/standby/actions/failover/switchover/follower-objections.ts';
import { localFacts } from '../../../standby-facts.ts';
import { beforeFacts, oldPrimary, slot } from './before-facts.ts';

function objectionsTo(changes: Partial<BeforeFacts>, local = localFacts('18')) {
  return followerObjections({ failover: local } as unknown as SwitchoverFacts, beforeFacts(changes));
}

const other = { ...oldPrimary, name: 'c', streamsAs: 'c' };

describe('a host that is to follow', () => {
  test('is an objection if it says itself that it cannot; another standby can be left behind', () => {
    const problems = [{ message: 'cannot change "/etc/x.ini": it belongs to user 0', hint: 'Write it.' }];
    const found = objectionsTo({ oldPrimary: { ...oldPrimary, problems }, others: [{ ...other, problems }] });
    expect(found.map(({ name, message }) => [name, message])).toEqual([
      [undefined, 'a cannot follow this host: cannot change "/etc/x.ini": it belongs to user 0'],
      ['sibling-unasked', 'c cannot follow this host: cannot change "/etc/x.ini": it belongs to user 0'],
    ]);
    expect(found[0]?.hint).toBe('On a: Write it. (public_ip: is the address that it uses: b)');
  });

  test('must not have lower limits than this host will have', () => {
    const settings = new Map([
      ['max_connections', '200'],
      ['max_wal_senders', '10'],
    ]);
    const limits = { max_connections: 100, max_wal_senders: 5 };
    const [found, ...more] = objectionsTo({ settings, oldPrimary: { ...oldPrimary, limits } });
    expect(more).toEqual([]);
    expect(found?.message).toBe(
      'a cannot replay the WAL of this host: max_connections is 100 there, and 200 here; max_wal_senders is 5 there, and 10 here',
    );
    expect(found?.hint).toMatch(/^Set max_connections = 200, max_wal_senders = 10 in the configuration on a/);
    // Only from 12 on.
    const [old] = objectionsTo({ settings, oldPrimary: { ...oldPrimary, limits } }, localFacts('11'));
    expect(old?.message).toMatch(/200 here$/);
    expect(
      objectionsTo({ settings, oldPrimary: { ...oldPrimary, limits: { max_connections: 200 } } }),
    ).toEqual([]);
  });

  test('is compared with the values that are raised here for the promotion', () => {
    const lowLimits = [{ name: 'max_worker_processes', here: 4, demanded: 16 }] as const;
    const settings = new Map([['max_worker_processes', '4']]);
    const found = objectionsTo(
      { settings, others: [{ ...other, limits: { max_worker_processes: 8 } }] },
      { ...localFacts('18'), lowLimits },
    );
    expect(found[0]?.message).toContain('max_worker_processes is 8 there, and 16 here');
    expect(found[0]?.hint).toContain('and restart its server');
  });

  test('needs the slot here with which it streams', () => {
    const asked = { oldPrimary: { ...oldPrimary, slot: 'a_slot' } };
    expect(objectionsTo({ ...asked, slotsHere: [slot('a_slot')] })).toEqual([]);
    const [found] = objectionsTo({ ...asked, slotsHere: [slot('a_slot', { kind: 'logical' })] });
    expect(found?.message).toContain('would stream by replication slot "a_slot"');
    expect(found?.hint).toContain("SELECT pg_create_physical_replication_slot('a_slot')");
  });

  test('needs a WAL sender here, if it streams', () => {
    const found = (count: string) =>
      objectionsTo({ settings: new Map([['max_wal_senders', count]]), others: [other] });
    expect(found('2')).toEqual([]);
    expect(found('1')[0]?.message).toMatch(/^max_wal_senders = 1 .*, and 2 of the standbys will stream$/);
  });
});
