import type { Option } from '../../../src/config/option.ts';
import { describeRange } from '../../../src/config/option-values.ts';

/** The values that the key accepts, in the reference's words. */
export function describeKind(option: Option): string {
  switch (option.kind) {
    case 'integer':
      return describeRange(option.range);
    case 'seconds':
      return `seconds, ${describeRange(option.range)}`;
    case 'choice':
      return option.choices.map((choice) => `\`${choice}\``).join(', ');
    case 'text':
    case 'secret':
      return 'text';
    case 'name':
      return 'name';
    case 'path':
      return 'absolute path';
    case 'program':
      return 'program, with flags if needed';
    case 'rsync-flags':
      return 'flags';
    case 'shell':
      return 'shell command';
    case 'boolean':
      return '`on` or `off`';
    case 'port':
      return 'port number';
    case 'size':
      return 'size, such as `500MB`';
    case 'span':
      return 'time span, such as `30min` or `4h`';
    case 'queue-limit':
      return 'size, such as `50GB`, or number of files';
    case 'version':
      return 'version';
    case 'standby-names':
      return 'names, separated by commas';
    case 'search-path':
      return 'directories';
    case 'url':
      return 'URL';
    case 'urls':
      return 'URLs, separated by commas';
  }
}
