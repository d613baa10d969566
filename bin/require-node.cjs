// The launchers have this file loaded before a program: an older Node.js cannot read the program, and would not name the cause.
// Therefore every Node.js can read this file.
'use strict';

var oldest = [20, 19];
var version = process.versions.node;
var parts = version.split('.').map(Number);

if (parts[0] < oldest[0] || (parts[0] === oldest[0] && parts[1] < oldest[1])) {
  var message =
    '"' + process.execPath + '" is Node.js ' + version + ', but ' + oldest.join('.') + ' or later is needed';
  process.stderr.write(
    'ERROR: ' +
      message +
      '\nHINT: Install a newer Node.js, or set PITRTOOLS_NODE to the path of one (doc/install.md).\n',
  );
  // Nagios shows standard output alone, and knows no exit status above 3.
  var isNagios = process.argv.indexOf('--nagios') >= 0;
  if (isNagios) process.stdout.write('pitrtools UNKNOWN - ' + message + '\n');
  process.exit(isNagios ? 3 : 4);
}
