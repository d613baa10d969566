import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkout } from '../harness/checkout.ts';
import { type EtcdMember, makeEtcd } from '../harness/etcd.ts';
import { eventually } from '../harness/eventually.ts';
import type { Host } from '../harness/host.ts';
import { makeMember, type PatroniMember } from '../harness/patroni.ts';
import { clientProgram } from '../harness/postgres-programs.ts';
import { archivingSettings, type Primary } from '../harness/primary.ts';
import { processesOf } from '../harness/process-table.ts';
import { killAll, run } from '../harness/processes.ts';
import type { Server } from '../harness/server.ts';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';
import { installHelpers } from './backup-kit.ts';
import { makeStandby } from './matrix-kit.ts';
import { expectExit } from './standby-kit.ts';
import { ownConfiguration } from './switchover-kit.ts';

const hostNames = ['alpha', 'beta', 'gamma'] as const;
type HostName = (typeof hostNames)[number];

/** A command of the page, and the lines that the page shows below it. */
export interface Typed {
  readonly host: HostName;
  readonly isRoot: boolean;
  readonly command: string;
  readonly shown: readonly string[];
}

export interface Page {
  readonly typed: readonly Typed[];
  /** The blocks that are files, in their order. */
  readonly files: readonly string[];
}

function typedOf(block: string): Typed[] {
  return block.split(/^(?=(?:alpha|beta|gamma)[$#] )/m).map((part) => {
    const [first = '', ...shown] = part.trimEnd().split('\n');
    const [, name, prompt, command] = /^(\w+)([$#]) (.*)$/.exec(first) ?? [];
    const host = hostNames.find((each) => each === name);
    if (host === undefined || command === undefined) throw new Error(`no command on a host: ${first}`);
    return { host, isRoot: prompt === '#', command, shown };
  });
}

export function readPage(): Page {
  const page = readFileSync(checkout('doc', 'patroni-takeover.md'), 'utf8');
  const blocks = [...page.matchAll(/^```\w*\n(.*?)^```$/gms)].map(([, block = '']) => block);
  const isTyped = (block: string) => /^(alpha|beta|gamma)[$#] /.test(block);
  return {
    typed: blocks.filter(isTyped).flatMap(typedOf),
    files: blocks.filter((block) => !isTyped(block)),
  };
}

/** A pair made by the how-to, with etcd on a third host; Patroni has not been started. */
export interface TakeoverSite {
  readonly world: World;
  readonly alpha: Primary;
  readonly beta: Standby;
  readonly betaAsPrimary: Primary;
  readonly hosts: Readonly<Record<HostName, Host>>;
  readonly members: Readonly<Record<'alpha' | 'beta', PatroniMember>>;
  readonly etcd: Readonly<Record<HostName, EtcdMember>>;
  /** What stands on the page, as it is on this host. */
  readonly here: (host: HostName, text: string) => string;
  /** To be called before that of the world: Patroni would start each server again. */
  readonly close: () => Promise<void>;
}

/** `streams`: the standby replays its archive otherwise. */
export async function makeTakeoverSite(world: World, page: Page, streams: boolean): Promise<TakeoverSite> {
  const hosts = {
    alpha: await world.host('alpha'),
    beta: await world.host('beta'),
    gamma: await world.host('gamma'),
  };
  const [hba = '', yaml = '', dcs = ''] = page.files;
  const alpha = await world.startPrimary({
    ...{ name: 'alpha', slaves: ['beta'], ini: { debug: undefined } },
    // As in the how-to: the queues are where its archive is to be.
    lArchiveDir: hosts.alpha.archiveDir,
  });
  const here = hereOf(world, hosts, alpha);
  const logins = here('alpha', hba);
  appendFileSync(join(alpha.pgdata, 'pg_hba.conf'), logins);
  await alpha.reload();
  await alpha.sql('CREATE TABLE rows (id serial PRIMARY KEY)');
  await alpha.sql("CREATE ROLE replication REPLICATION LOGIN PASSWORD 'changeme'");
  await installHelpers(alpha);
  expectExit(await world.cmdArchiver(alpha, ['-I']), 0);
  const keys = {
    // All servers are those of Patroni's bin_dir.
    pg_ctl: clientProgram('pg_ctl'),
    ...{ debug: undefined, use_streaming_replication: streams ? 'on' : 'no', wal_timeout: 120 },
    ...{ start_timeout: 120, repl_db_user: 'replication', repl_db_password: 'changeme' },
    action_failover: undefined,
  };
  // As in Debian's packages: beta's configuration is outside the data directory.
  const beta = await world.addStandby('beta', alpha, {
    port: alpha.port,
    settings: archivingSettings(hosts.beta),
    ini: {
      ...keys,
      ...{ no_copy_conf: 'true', pg_conf_failover: undefined, pg_hba_conf_failover: undefined },
      ...{ public_ip: hosts.beta.address, peer_ini: join(hosts.alpha.directory, 'etc', 'cmd_standby.ini') },
    },
  });
  appendFileSync(join(confDirOf(hosts.beta), 'pg_hba.conf'), logins);
  await makeStandby(world, beta);
  const betaAsPrimary = await world.asPrimary(beta, ['alpha']);
  betaAsPrimary.writeIni({ debug: undefined });
  expectExit(await world.cmdArchiver(betaAsPrimary, ['-I']), 0);
  await world.addStandby('alpha', betaAsPrimary, {
    pgdata: alpha.pgdata,
    port: alpha.port,
    ini: {
      ...keys,
      ...ownConfiguration,
      ...{ public_ip: hosts.alpha.address, peer_ini: beta.iniFile, master_public_ip: hosts.alpha.address },
    },
  });
  const yamlOf = { alpha: yaml, beta: ofBeta(yaml) };
  const memberOn = (name: 'alpha' | 'beta', server: Server) =>
    makeMember({ host: hosts[name], major: world.major, user: world.user, server }, here(name, yamlOf[name]));
  const [one, two, three] = makeEtcd(Object.values(hosts));
  if (one === undefined || two === undefined || three === undefined)
    throw new Error('etcd needs three hosts');
  writeFileSync(join(hosts.alpha.directory, 'etc', 'dcs.yml'), here('alpha', dcs));
  const members = { alpha: memberOn('alpha', alpha), beta: memberOn('beta', beta) };
  return {
    ...{ world, alpha, beta, betaAsPrimary, hosts, here, members },
    close: async () => {
      for (const member of Object.values(members)) await member.kill();
      for (const { pgdata } of [alpha, beta]) killAll(processesOf(pgdata));
      for (const each of [one, two, three]) await each.kill();
    },
    etcd: { alpha: one, beta: two, gamma: three },
  };
}

/** As the page describes the differences. */
function ofBeta(yaml: string): string {
  const lines = yaml
    .replace('name: alpha', 'name: beta')
    .replace(/^( *)data_dir: .*$/m, '$&\n$1config_dir: /etc/postgresql/15/main')
    .split('\n');
  return lines
    .map((line) => (line.includes('hosts:') ? line : line.replace('10.0.0.1', '10.0.0.2')))
    .join('\n');
}

function confDirOf({ directory }: Host): string {
  return join(directory, 'etc', 'pg_conf');
}

/** The hosts of the page have their own addresses, ports and directories. */
function hereOf(world: World, hosts: TakeoverSite['hosts'], alpha: Primary): TakeoverSite['here'] {
  return (name, text) => {
    const { directory, archiveDir } = hosts[name];
    const changes: readonly [string, string][] = [
      ['/etc/patroni/config.yml', join(directory, 'etc', 'patroni.yml')],
      ['/etc/postgresql/15/main', confDirOf(hosts[name])],
      ['/var/lib/postgresql/15/main', name === 'alpha' ? alpha.pgdata : join(directory, 'data', 'main')],
      ['/usr/lib/postgresql/15/', `/usr/lib/postgresql/${world.major}/`],
      ['/var/lib/postgresql/pitrtools/bin', checkout('bin')],
      ['/var/lib/postgresql/pitrtools', directory],
      ['/var/lib/postgresql/archive', archiveDir],
      ['/var/lib/postgresql/.pgpass', join(directory, '.pgpass')],
      ['/var/run/postgresql', join(directory, 'run')],
      ['10.0.0.0/24', '10.99.0.0/24'],
      ['10.0.0.1', hosts.alpha.address],
      ['10.0.0.2', hosts.beta.address],
      ['10.0.0.3', hosts.gamma.address],
      ['max_connections: 100', 'max_connections: 40'],
      [':5432', `:${alpha.port}`],
      ['username: postgres', `username: ${world.user}`],
    ];
    return changes.reduce((changed, [from, to]) => changed.replaceAll(from, to), text);
  };
}

/** The page has no tabs. */
function wordsOf(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}

/** Types a line, and returns what it says; fails unless it says, sooner or later, what the page shows. */
export async function typeOn(site: TakeoverSite, typed: Typed): Promise<string> {
  const { host: name, isRoot, command, shown } = typed;
  if (isRoot) {
    await serve(site, name, command);
    return '';
  }
  const { directory, env } = site.hosts[name];
  const server = name === 'beta' ? site.beta : site.alpha;
  const variables = { PGHOST: server.socketDirectory, PGPORT: String(server.port), PGDATABASE: 'postgres' };
  const line = site.here(name, command.replace(/^bin\//, '/var/lib/postgresql/pitrtools/bin/'));
  const wanted = shown.filter((one) => one !== '...').map((one) => wordsOf(site.here(name, one)));
  const look = async () => {
    const options = { cwd: directory, env: { ...env, ...variables }, limitMs: 300_000 };
    const { code, stdout } = await run('/bin/sh', ['-c', `exec 2>&1; ${line}`], options);
    return { stdout, isAsShown: code === 0 && wanted.every((one) => wordsOf(stdout).includes(one)) };
  };
  let seen = await look();
  // Patroni does its work every ten seconds: a look at it is repeated, and its configuration may not be in etcd yet.
  const isLook = /\b(list|edit-config)\b/.test(command);
  if (isLook)
    await eventually(async () => seen.isAsShown || (seen = await look()).isAsShown, { everyMs: 500 }).catch(
      () => undefined,
    );
  if (!seen.isAsShown)
    throw new Error(`${name}: ${command}\n${seen.stdout}\n--- wanted:\n${wanted.join('\n')}`);
  return seen.stdout;
}

/** What the host's systemd would do. */
async function serve({ etcd, members }: TakeoverSite, name: HostName, command: string): Promise<void> {
  const [, action, unit] = /^systemctl (start|stop) (etcd|patroni)$/.exec(command) ?? [];
  const member = name === 'gamma' ? undefined : members[name];
  if (unit === 'etcd' && action === 'start') etcd[name].start();
  else if (unit === 'etcd' && action === 'stop') await etcd[name].kill();
  else if (unit === 'patroni' && action === 'start') member?.start();
  else if (unit === 'patroni' && action === 'stop') await member?.stop();
  else throw new Error(`${name}: ${command}`);
}
