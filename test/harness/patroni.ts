import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from './host.ts';
import { type Finished, run, type Running, start } from './processes.ts';
import { createServer, type Server } from './server.ts';

const patroniPrograms = ['/usr/bin/patroni', '/usr/bin/patronictl', '/usr/bin/etcd'] as const;
export const scope = 'site';
export const restPort = 8008;
export const serverPort = 5432;

/** Why there is no Patroni here; undefined where it is. */
export function missingPatroni(): string | undefined {
  const missing = patroniPrograms.filter((program) => !existsSync(program));
  return missing.length === 0 ? undefined : `not installed here: ${missing.join(', ')}`;
}

export interface PatroniMember {
  readonly name: string;
  readonly host: Host;
  readonly server: Server;
  /** Its patroni.yml. */
  readonly file: string;
  start(): void;
  /** SIGKILL to Patroni alone: its server runs on. */
  kill(): Promise<void>;
  /** As its service stops it: the server ends with it. */
  stop(): Promise<void>;
  isRunning(): boolean;
  log(): string;
  /** patronictl, as it is typed on this host. */
  ctl(args: readonly string[]): Promise<Finished>;
}

export interface MemberPlace {
  readonly host: Host;
  readonly major: number;
  readonly user: string;
  /** One that is there already. */
  readonly server?: Server;
}

/** `configuration`: what patroni.yml has, or its text; JSON is YAML. */
export function makeMember(place: MemberPlace, configuration: object | string): PatroniMember {
  const { host, major, user } = place;
  const { directory, env } = host;
  mkdirSync(join(directory, 'etc'), { recursive: true });
  const file = join(directory, 'etc', 'patroni.yml');
  const text =
    typeof configuration === 'string' ? configuration : JSON.stringify(configuration, undefined, 2);
  writeFileSync(file, text, { mode: 0o600 });
  const server =
    place.server ??
    createServer({
      ...{ major, user, env, port: serverPort },
      pgdata: join(directory, 'pgdata'),
      socketDirectory: join(directory, 'run'),
      log: join(directory, 'postgresql.log'),
    });
  const logFile = join(directory, 'patroni.log');
  let running: Running | undefined;
  return {
    ...{ name: host.name, host, server, file },
    start: () => {
      // The output goes to a file: the server that Patroni starts keeps it open.
      const script = `exec /usr/bin/patroni '${file}' >>'${logFile}' 2>&1`;
      running = start('sh', ['-c', script], { env, cwd: directory, limitMs: 86_400_000 });
    },
    kill: async () => {
      running?.signal('SIGKILL');
      await running?.finished;
      running = undefined;
    },
    stop: async () => {
      running?.signal('SIGTERM');
      await running?.finished;
      running = undefined;
    },
    isRunning: () => running !== undefined,
    log: () => (existsSync(logFile) ? readFileSync(logFile, 'utf8') : ''),
    ctl: (args) =>
      run('/usr/bin/patronictl', ['-c', file, ...args], { env, cwd: directory, limitMs: 180_000 }),
  };
}
