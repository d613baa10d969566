import { exitCodes, PitrError } from '../errors.ts';

interface Common {
  readonly iniFile: string;
}
interface Changing extends Common {
  readonly dryRun: boolean;
}

/** What the command line asks for. */
export type Request =
  /** Help or version, already printed. */
  | { readonly kind: 'answered' }
  | (Common & { readonly kind: 'archive'; readonly path: string })
  /** `plant`: the standby whose archive is to be marked whatever is known of it. */
  | (Common & { readonly kind: 'initialize'; readonly plant: string | undefined })
  | (Common & { readonly kind: 'check' | 'ship' })
  | (Changing & { readonly kind: 'flush' | 'cleanup' })
  | (Changing & { readonly kind: 'abandon' | 'resume'; readonly standby: string });

/** The options as commander hands them over. */
interface RawOptions {
  readonly config?: string;
  readonly init?: true;
  readonly file?: string;
  readonly ship?: true;
  readonly flush?: true;
  readonly cleanup?: true;
  readonly abandon?: string;
  readonly resume?: string;
  readonly dryRun?: true;
  readonly plant?: string;
}

function usageError(message: string): PitrError {
  return new PitrError(message, {
    hint: 'cmd_archiver --help shows the options.',
    exitCode: exitCodes.usage,
  });
}

/** The form that PostgreSQL calls, once per segment: taken apart here, because commander costs 10 ms. */
function parseArchiveCommand(argv: readonly string[]): Request | undefined {
  const [c, iniFile, f, path] = argv;
  if (argv.length !== 4 || c !== '-C' || f !== '-F') return undefined;
  if (iniFile === undefined || path === undefined || path === '') return undefined;
  if (iniFile.startsWith('-') || path.startsWith('-')) return undefined;
  return { kind: 'archive', iniFile, path };
}

const actionFlags = {
  init: '-I',
  file: '-F',
  ship: '--ship',
  flush: '--flush',
  cleanup: '--cleanup',
  abandon: '--abandon',
  resume: '--resume',
} as const;

function requestOf(options: RawOptions): Request {
  const keys = Object.keys(actionFlags) as (keyof typeof actionFlags)[];
  const asked = keys.filter((key) => options[key] !== undefined).map((key) => actionFlags[key]);
  if (asked.length > 1) throw usageError(`one action at a time, not ${asked.join(' and ')}`);
  if (options.config === undefined) throw usageError('-C FILE is missing');
  const common = { iniFile: options.config };
  const changing = { ...common, dryRun: options.dryRun === true };
  if (options.plant !== undefined && options.init !== true) throw usageError('--plant goes with -I');
  if (options.flush === true) return { kind: 'flush', ...changing };
  if (options.cleanup === true) return { kind: 'cleanup', ...changing };
  if (options.abandon !== undefined) return { kind: 'abandon', standby: options.abandon, ...changing };
  if (options.resume !== undefined) return { kind: 'resume', standby: options.resume, ...changing };
  if (changing.dryRun) throw usageError('--dry-run goes with --flush, --cleanup, --abandon or --resume');
  if (options.file === '') throw usageError('-F needs the path of a WAL file');
  if (options.file !== undefined) return { kind: 'archive', path: options.file, ...common };
  if (options.ship === true) return { kind: 'ship', ...common };
  if (options.init === true) return { kind: 'initialize', plant: options.plant, ...common };
  return { kind: 'check', ...common };
}

/** Help and version are printed by `print`; what cannot be understood is thrown as a usage error. */
export async function parseArguments(
  argv: readonly string[],
  print: (text: string) => void,
): Promise<Request> {
  const archive = parseArchiveCommand(argv);
  if (archive !== undefined) return archive;
  const { readOptions } = await import('./command-line-options.ts');
  const read = readOptions(argv, print);
  if (read.kind === 'answered') return read;
  if (read.kind === 'wrong') throw usageError(read.message);
  return requestOf(read.options);
}
