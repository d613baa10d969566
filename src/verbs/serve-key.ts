/**
 * The program of a restricted key: `--serve` without a value, as sshd starts it for each session. What the client asked for
 * is in SSH_ORIGINAL_COMMAND; it is compared with tables, and no shell ever sees it.
 */
import { exitCodes, messageOf, PitrError } from '../errors.ts';
import { runInPlace, type StartSession, whenRoom } from '../system/command.ts';
import { systemErrorCode } from '../system/durable.ts';
import { limitedLines } from '../system/input-lines.ts';
import { quoted } from '../system/printable.ts';
import type { ProgramDeps } from '../system/program-deps.ts';
import { logRefusal, type RefusalLog } from '../system/refusals.ts';
import {
  endLine,
  keyOptions,
  openingLines,
  readOpening,
  refusalMark,
  refusedStatus,
  type Served,
  sessionWord,
} from '../system/served.ts';
import { scriptChannel } from '../system/ssh.ts';
import type { VerbCall } from './read-call.ts';
import { longestRequest, readRequest } from './read-request.ts';
import type { AnyScriptRequest } from './request.ts';
import { callsWord } from './verbs.ts';

type Write = (text: string) => void;
type Values = Readonly<Record<string, unknown>>;

/** All that one side serves. */
export interface KeyService {
  readonly served: Served;
  /** The requests that scripts carry out, and the place for which they are made. */
  readonly scripts: Readonly<Record<string, AnyScriptRequest>>;
  readonly place: unknown;
  /** Why these values are refused, although each is of its kind; undefined if they are not. */
  readonly check: (name: string, values: Values) => Promise<string | undefined>;
  /** Writes the line of the answer, or of the failure. @returns the exit status */
  readonly verb: (call: VerbCall, write: Write) => Promise<number>;
  /**
   * For a request in a session of its own that is no script: then standard input and output belong to it. Undefined if this
   * is one that a script carries out.
   */
  readonly program?: (name: string, values: Values) => Promise<number> | undefined;
  /** @returns the exit status, or why it is refused */
  readonly rsync: (line: string) => Promise<number | { readonly refused: string }>;
  /** The session has ended. */
  readonly end?: () => Promise<void>;
}

/** A side that is not set up yet serves nothing; `closed` says why. */
interface ClosedService extends Pick<KeyService, 'served'> {
  readonly closed: string;
}

export interface KeyInput {
  readonly startSession: StartSession;
  readonly log: RefusalLog;
  /** SSH_ORIGINAL_COMMAND; undefined if the client asked for a shell. */
  readonly original: string | undefined;
  readonly input: AsyncIterable<Buffer>;
  readonly write: Write;
  /** Settles once the client has read enough for more, if it has not yet. One that never reads must not fill our memory. */
  readonly whenRoom: () => Promise<void> | undefined;
  readonly writeError: Write;
  readonly signal: AbortSignal;
}

/** All that sshd and our own process give it. `refusals`: a file for what is refused. */
export function keyInput(
  { run, startSession, now, signal }: ProgramDeps,
  program: RefusalLog['program'],
  refusals: string | undefined,
): KeyInput {
  const { SSH_CONNECTION: connection, SSH_ORIGINAL_COMMAND: original } = process.env;
  // The words of a client must not be in the environment of a server or a hook that its request starts.
  delete process.env['SSH_ORIGINAL_COMMAND'];
  return {
    startSession,
    log: { run, now, program, file: refusals, connection },
    original,
    input: process.stdin,
    whenRoom: () => whenRoom(process.stdout),
    write: (text) => {
      process.stdout.write(text);
    },
    writeError: (text) => {
      process.stderr.write(text);
    },
    signal,
  };
}

/** A client waits as long as it likes: it ends the connection when it is tired of waiting. */
const neverMs = 2 ** 31 - 1;

/** The list of a data directory with ten million files. */
const mostOutputBytes = 1024 ** 3;

/** Work for a shell of our own, which is started with the first one. */
type RunScript = (script: string, write: Write) => Promise<number>;

function localShell({ startSession, whenRoom: whenClientHasRoom }: KeyInput): {
  readonly run: RunScript;
  readonly end: () => Promise<void>;
} {
  let opened:
    { readonly channel: ReturnType<typeof scriptChannel>; readonly end: () => Promise<void> } | undefined;
  const open = () => {
    const channel = scriptChannel(() => session);
    const session = startSession(
      { program: '/bin/sh', args: [] },
      {
        onLine: (line) => {
          channel.onLine(line);
          const room = whenClientHasRoom();
          if (room !== undefined) session.holdOutput(room);
        },
      },
    );
    void session.ended.then(() => {
      channel.lose('the shell has ended');
    });
    session.write('umask 077\n');
    const end = async (): Promise<void> => {
      session.close();
      await session.ended;
    };
    return { channel, end };
  };
  return {
    run: async (script, write) => {
      opened ??= open();
      // The line feed before the line with the status is none of the output.
      let held: string | undefined;
      const onLine = (line: string): void => {
        if (held !== undefined) write(`${held}\n`);
        held = line;
      };
      const result = await opened.channel.run(script, {
        limitMs: neverMs,
        maxOutputBytes: mostOutputBytes,
        onLine,
      });
      if (held !== undefined && held !== '') write(`${held}\n`);
      if (result.kind === 'done') return result.status;
      write(`${refusalMark}${result.reason}\n`);
      return exitCodes.failure;
    },
    end: async () => {
      await opened?.end();
    },
  };
}

/** Says and logs that something was refused. */
async function refuse(
  { log, writeError }: KeyInput,
  asked: string,
  reason: string,
  more: string = '',
): Promise<void> {
  const unwritten = await logRefusal(log, asked, reason);
  writeError(`ERROR: ${log.program} --serve: refused: ${quoted(reason)}${more}\n`);
  if (unwritten !== undefined)
    writeError(
      `WARNING: ${log.program} --serve: cannot write ${quoted(log.file ?? '')}: ${quoted(unwritten)}\n`,
    );
}

interface Outcome {
  readonly status: number;
}

/** A check that cannot be made refuses this request alone: the session has others. */
async function whyRefused(
  { signal }: KeyInput,
  { check }: KeyService,
  name: string,
  values: Values,
): Promise<string | undefined> {
  try {
    return await check(name, values);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof PitrError) return [error.message, error.detail].filter(Boolean).join(': ');
    if (systemErrorCode(error) === undefined) throw error;
    return messageOf(error);
  }
}

/** Reads one request and carries it out. `isOwnSession`: its standard input is free for a program. */
async function carryOut(
  io: KeyInput,
  service: KeyService | ClosedService,
  line: string,
  runScript: RunScript,
  isOwnSession: boolean,
): Promise<Outcome> {
  const refuseIt = async (reason: string, more = ''): Promise<Outcome> => {
    io.write(`${refusalMark}${quoted(reason)}${more}\n`);
    await refuse(io, line, reason, more);
    return { status: refusedStatus };
  };
  if ('closed' in service) return refuseIt(service.closed);
  const { served, scripts } = service;
  const request = readRequest(line, scripts, served.roles);
  if (request.kind === 'refused')
    return refuseIt(
      request.reason,
      request.needsRoles === true ? `; before the key: ${keyOptions(served, true)}` : '',
    );
  if (request.kind === 'verb') return { status: await service.verb(request.call, io.write) };
  const { name, values } = request;
  const wrong = await whyRefused(io, service, name, values);
  if (wrong !== undefined) return refuseIt(`${name}: ${wrong}`);
  const program = isOwnSession ? service.program?.(name, values) : undefined;
  if (program !== undefined) return { status: await program };
  const wanted = scripts[name];
  const script = wanted?.script(service.place as never, values as never) ?? '';
  if (wanted?.streams !== true) return { status: await runScript(script, io.write) };
  if (!isOwnSession) return refuseIt(`${name} needs a session of its own`);
  return { status: await runInPlace({ program: '/bin/sh', args: ['-c', script] }, '/') };
}

/** The lines of a session, one request each, behind the opening. */
async function serveSession(io: KeyInput, service: KeyService | ClosedService): Promise<number> {
  const shell = localShell(io);
  let count = 0;
  try {
    for await (const line of limitedLines(io.input, longestRequest)) {
      const opening = count < openingLines ? readOpening(line, count) : undefined;
      if (count++ < openingLines) {
        if (opening === undefined) return await refuseSession(io, line);
        if (opening.nonce !== undefined) io.write(endLine(opening.nonce, 0, service.served));
        continue;
      }
      const [, nonce, request = ''] = /^([0-9a-f]{24}) (.*)$/.exec(line) ?? [];
      if (nonce === undefined) return await refuseSession(io, line);
      const { status } = await carryOut(io, service, request, shell.run, false);
      io.write(endLine(nonce, status));
      await io.whenRoom();
    }
    return 0;
  } finally {
    await shell.end();
    if (!('closed' in service)) await service.end?.();
  }
}

async function refuseSession(io: KeyInput, line: string): Promise<number> {
  await refuse(io, line, 'this key has no shell: only requests of pitrtools are allowed');
  return exitCodes.refused;
}

/** `calls`: the verbs of one line after the other, as with `--serve -`. */
async function serveCalls(io: KeyInput, service: KeyService): Promise<number> {
  for await (const line of limitedLines(io.input, longestRequest)) {
    await carryOut(io, { ...service, scripts: {} }, line, () => Promise.resolve(refusedStatus), false);
    await io.whenRoom();
  }
  return 0;
}

async function serveOne(io: KeyInput, service: KeyService | ClosedService, line: string): Promise<number> {
  const shell = localShell(io);
  try {
    return (await carryOut(io, service, line, shell.run, true)).status;
  } finally {
    await shell.end();
  }
}

/** @returns the exit status of the session */
export async function serveKey(io: KeyInput, service: KeyService | ClosedService): Promise<number> {
  const { original } = io;
  if (original === undefined || original === '') {
    return refuseSession(io, '');
  }
  if (original === sessionWord) return serveSession(io, service);
  if ('closed' in service) return serveOne(io, service, original);
  if (original === callsWord) return serveCalls(io, service);
  // On the data side a program that makes it polite may precede it.
  if (/^(?:(?:nice|ionice) .* )?rsync /s.test(original)) {
    const outcome = await service.rsync(original);
    if (typeof outcome === 'number') return outcome;
    await refuse(io, original, outcome.refused);
    return exitCodes.refused;
  }
  return serveOne(io, service, original);
}
