import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { checkout } from '../harness/checkout.ts';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import type { IniKeys } from '../harness/ini.ts';
import { type PatroniMember, restPort, serverPort } from '../harness/patroni.ts';
import { clientProgram } from '../harness/postgres-programs.ts';
import { type Primary, primaryOn } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import { installHelpers } from './backup-kit.ts';
import { type Additions, bootSite, type Site } from './patroni-site.ts';
import type { CampaignLog } from './roles-kit.ts';
import { expectExit } from './standby-kit.ts';
import { ownConfiguration } from './switchover-kit.ts';

/** A member with its two INI files. */
interface FedMember {
  readonly member: PatroniMember;
  readonly primary: Primary;
  readonly standby: Standby;
}

/** A site that is fed by our programs, and a standby outside Patroni. */
export interface FedSite extends Site {
  readonly fed: readonly FedMember[];
  readonly off: Standby;
}

/** What doc/patroni.md has in patroni.yml. */
export const ourCommands: Additions = (host: Host) => {
  const [archiver, standby] = ['cmd_archiver', 'cmd_standby'].map(
    (name) => `${checkout('bin', name)} -C ${join(host.directory, 'etc', `${name}.ini`)}`,
  );
  const callback = `${archiver} --patroni-callback`;
  return {
    postgresql: {
      create_replica_methods: ['pitrtools'],
      pitrtools: { command: `${standby} --patroni-replica`, keep_data: true },
      recovery_conf: {
        restore_command: `${checkout('bin', 'cmd_standby')} --restore standby ${host.archiveDir} %f %p ${join(host.directory, 'etc', 'cmd_standby.ini')}`,
        recovery_target_timeline: 'latest',
      },
      pre_promote: `${standby} --patroni-pre-promote`,
      callbacks: { on_role_change: callback, on_start: callback },
    },
    parameters: { archive_mode: 'on', archive_command: `${archiver} -F %p` },
  };
};

const offName = 'off';

/** Patroni has the configuration of the server. */
const standbyKeys = { ...ownConfiguration, rsync_threads: 2 };

function siteKeys(site: Site): IniKeys {
  return {
    ...{ debug: 'off', start_timeout: 60, wal_timeout: 90, patroni_url: restApisOf(site) },
    // All servers of the site are Debian's.
    pg_ctl: clientProgram('pg_ctl'),
  };
}

/** Writes the INI files of the members and of the off-site standby; nothing is initialized. */
export async function feedSite(site: Site): Promise<FedSite> {
  const { world, members } = site;
  const offHost = await world.host(offName);
  const primaries = members.map((member) => archiverOf(site, member, offHost));
  const standbys: Standby[] = [];
  for (const [index, { host }] of members.entries()) {
    const other = primaries[(index + 1) % primaries.length];
    if (other === undefined) throw new Error('a site of one member');
    mkdirSync(host.archiveDir, { mode: 0o700 });
    const pgdata = join(host.directory, 'pgdata');
    standbys.push(
      await world.addStandby(host.name, other, {
        ...{ pgdata, port: serverPort },
        ini: { ...standbyKeys, ...siteKeys(site) },
      }),
    );
  }
  const [first] = primaries;
  if (first === undefined) throw new Error('a site without members');
  const off = await world.addStandby(offName, first, {
    // As in Patroni's configuration.
    settings: { max_connections: 60 },
    ini: siteKeys(site),
  });
  const fed = members.map((member, index) => {
    const [primary, standby] = [primaries[index], standbys[index]];
    if (primary === undefined || standby === undefined) throw new Error(`no files for ${member.name}`);
    return { member, primary, standby };
  });
  return { ...site, fed, off };
}

function restApisOf({ members }: Site): string {
  return members.map(({ host }) => `http://${host.address}:${restPort}`).join(', ');
}

function archiverOf({ world, members }: Site, { host, server }: PatroniMember, offHost: Host): Primary {
  const others = members.flatMap((each) => (each.host === host ? [] : [each.host]));
  const slaves = [...others, offHost];
  const sections = Object.fromEntries(
    slaves.map(({ name, address, archiveDir }) => [name, { host: address, r_archivedir: archiveDir }]),
  );
  const lArchiveDir = join(host.directory, 'l_archive');
  const ini = { patroni_url: `http://${host.address}:${restPort}` };
  return primaryOn({ host, server, user: world.user, slaves, lArchiveDir }, { ini, sections });
}

/** Starts it all: the members' copies and the off-site standby are made by our programs. */
export async function bootFedSite(site: FedSite, log: CampaignLog): Promise<void> {
  const { world, fed, off } = site;
  const [first, ...others] = fed;
  if (first === undefined) throw new Error('a site without members');
  await bootSite(site);
  await installHelpers(first.primary);
  expectExit(log.ran('n1', ['-I'], await world.cmdArchiver(first.primary, ['-I'])), 0);
  for (const { member } of others) member.start();
  for (const { member, primary } of others) {
    await eventually(() => member.log().includes('replica has been created using pitrtools'), {
      limitMs: 180_000,
      everyMs: 200,
      what: `a copy for ${member.name}`,
    }).catch((error: unknown) => {
      throw new Error(member.log().slice(-4_000), { cause: error });
    });
    expectExit(log.ran(member.name, ['-I'], await world.cmdArchiver(primary, ['-I'])), 0);
  }
  for (const action of ['-I', '-B', '-S'])
    expectExit(log.ran('off', [action], await world.cmdStandby(off, [action])), 0);
}
