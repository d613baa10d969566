import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { missingHostNetworks } from '../harness/host-networks.ts';
import { missingPatroni } from '../harness/patroni.ts';
import { debianMajor } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { expectExit } from './standby-kit.ts';
import { hasRows, insertRows, isPrimary } from './switchover-kit.ts';
import { makeTakeoverSite, readPage, type TakeoverSite, typeOn } from './takeover-kit.ts';

const missing = missingPatroni() ?? (await missingHostNetworks());
if (missing !== undefined) console.log(`skipped: ${missing}`);

/** By the site as it is now, rows and WAL of one server reach the other one. */
async function feeds(site: TakeoverSite, leader: 'alpha' | 'beta', rows: number): Promise<void> {
  const other = leader === 'alpha' ? 'beta' : 'alpha';
  await insertRows(site[leader], 100);
  const segment = await site[leader].switchWal();
  await eventually(() => existsSync(join(site.hosts[other].archiveDir, segment)), {
    what: `${segment} in the archive of ${other}`,
  });
  await hasRows(site[other], rows);
}

describe.skipIf(missing !== undefined)('a pair made by the how-to', () => {
  test.override({ major: debianMajor(), hasNetworks: true });

  test.for([
    { streams: true, name: 'a streaming one' },
    { streams: false, name: 'one that replays its archive' },
  ])(
    'with $name is taken over into Patroni and back, as it is typed, and nothing is copied',
    { timeout: 900_000 },
    async ({ streams }, { world }) => {
      const page = readPage();
      const site = await makeTakeoverSite(world, page, streams);
      const { alpha, beta, members } = site;
      try {
        // A base backup would remove it.
        for (const { pgdata } of [alpha, beta]) writeFileSync(join(pgdata, 'kept'), '');
        await feeds(site, 'alpha', 100);
        for (const typed of page.typed) {
          await typeOn(site, typed);
          if (/restart --pending/.test(typed.command)) {
            await feeds(site, 'alpha', 200);
            // The rows may have come from the archive: it streams a moment later.
            const active = "SELECT active FROM pg_replication_slots WHERE slot_name = 'beta'";
            await eventually(async () => (await alpha.value(active)) === 'true', {
              what: 'the stream of beta',
            });
            const own = readFileSync(join(beta.pgdata, 'postgresql.auto.conf'), 'utf8');
            expect(own).not.toMatch(/restore_command|primary_conninfo/);
          }
          if (/--plant/.test(typed.command)) await feeds(site, 'beta', 300);
          if (/\bpause\b/.test(typed.command)) await feeds(site, 'alpha', 400);
        }
        await feeds(site, 'alpha', 500);
        expect([await isPrimary(alpha), await isPrimary(beta)]).toEqual([true, false]);
        expect(await alpha.value('SELECT count(*) FROM pg_replication_slots')).toBe('0');
        const streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        expect(await alpha.value(streaming)).toBe(streams ? '1' : '0');
        for (const { pgdata } of [alpha, beta]) expect(existsSync(join(pgdata, 'kept'))).toBe(true);
        for (const file of [join(alpha.pgdata, 'postgresql.conf'), beta.iniFile, alpha.iniFile])
          expect(readFileSync(file, 'utf8')).not.toMatch(/patroni/i);
        for (const member of Object.values(members))
          expect(member.log()).not.toMatch(/replica has been created|running pg_rewind/);
        expectExit(await world.cmdStandby(beta, ['--switchover', '--dry-run']), 0);
      } catch (error) {
        for (const member of Object.values(members))
          console.log(`--- Patroni of ${member.name}:\n${member.log().slice(-9_000)}`);
        throw error;
      } finally {
        await site.close();
      }
    },
  );
});
