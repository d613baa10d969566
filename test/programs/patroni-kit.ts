import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { checkout } from '../harness/checkout.ts';
import type { Host } from '../harness/host.ts';
import { settingLines } from '../harness/server.ts';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';

/** Stands for the REST API of Patroni on one host, with what that Patroni would say. */
export interface PatroniApi {
  readonly url: string;
  /** Whether it holds the leader's lock. */
  isLeader: boolean;
}

/** `leader`: where /cluster says that the leader is. */
export async function patroniOn(
  world: World,
  host: Host,
  leader: () => { readonly host: string; readonly port: number },
): Promise<PatroniApi> {
  const port = await world.port();
  const api = { url: `http://${host.address}:${port}`, isLeader: false };
  const server = createServer((request, response) => {
    if (request.url === '/cluster') {
      const members = [{ name: 'leader', role: 'leader', state: 'running', ...leader() }];
      response.writeHead(200).end(JSON.stringify({ members }));
    } else {
      const status = { role: 'replica', patroni: { version: '3.0.2', scope: 'main' } };
      response.writeHead(api.isLeader ? 200 : 503).end(JSON.stringify(status));
    }
  });
  await new Promise<void>((resolve) => server.listen(port, host.address, resolve));
  world.onClose(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return api;
}

/** The words that Patroni 3.0.2 appends to the command of a replica method. */
export function replicaWords(standby: Standby, connstring: string): string[] {
  return [
    '--patroni-replica',
    '--keep_data=True',
    '--scope=main',
    '--role=replica',
    `--datadir=${standby.pgdata}`,
    `--connstring=${connstring}`,
  ];
}

/** As in doc/patroni.md. */
export function restoreCommand(standby: Standby): string {
  return `${checkout('bin', 'cmd_standby')} --restore standby ${standby.archiveDir} %f %p ${standby.iniFile}`;
}

/** What Patroni writes before it starts a replica. The configuration is that of the host. */
export function writeAsPatroni(standby: Standby, conninfo: string): void {
  const path = join(standby.pgdata, 'postgresql.conf');
  copyFileSync(join(standby.host.directory, 'etc', 'pg_conf', 'postgresql.conf'), path);
  const settings = {
    primary_conninfo: conninfo,
    recovery_target_timeline: 'latest',
    restore_command: restoreCommand(standby),
  };
  writeFileSync(path, `${readFileSync(path, 'utf8')}${settingLines(settings)}`);
  writeFileSync(join(standby.pgdata, 'standby.signal'), '');
}

/** By timeline, each segment follows the one before. A later timeline may begin in the last segment of the earlier one. */
export function holdsNoGap(archive: readonly string[]): void {
  const numbers = archive
    .filter((name) => /^[0-9A-F]{24}$/.test(name))
    .map((name) => Number.parseInt(name.slice(8, 16), 16) * 256 + Number.parseInt(name.slice(16), 16));
  const places = [...new Set(numbers)].sort((a, b) => a - b);
  const gaps = places.filter((place, index) => index > 0 && place !== (places[index - 1] ?? 0) + 1);
  if (gaps.length > 0)
    throw new Error(`there is a gap before ${gaps.map((gap) => gap.toString(16)).join(', ')}`);
}
