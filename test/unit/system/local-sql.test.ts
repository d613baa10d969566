import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { withLocalSql } from '../../../src/system/local-sql.ts';
import { temporaryDirectory } from './temporary.ts';

function message(type: string, ...parts: readonly (string | Buffer)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, body]);
}

const ready = message('Z', 'I');

/** Stands for a server: it takes all that begins a session, and never ends a statement with `pg_backup_start`. */
function serve(socket: Socket): void {
  let isBegun = false;
  socket.on('error', () => undefined);
  socket.on('data', (data: Buffer) => {
    if (isBegun && data.includes('pg_backup_start')) return;
    socket.write(isBegun ? message('C', 'SET\0') : message('R', Buffer.alloc(4)));
    socket.write(ready);
    isBegun = true;
  });
}

test('a signal hangs up while a statement runs: the program could not end before it', async () => {
  const host = temporaryDirectory();
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    serve(socket);
  }).listen(join(host, '.s.PGSQL.5432'));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await once(server, 'listening');
  const end = new AbortController();
  const address = { host, port: 5432, user: 'postgres', database: 'postgres' };
  const asking = withLocalSql(
    address,
    60_000,
    async (sql) => {
      const started = sql("SELECT pg_backup_start('label', false)");
      setTimeout(() => {
        end.abort(new Error('stopped'));
      }, 50);
      return started;
    },
    end.signal,
  );
  expect((await asking).kind).toBe('no-server');
});
