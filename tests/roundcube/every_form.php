<?php
// every_form.php PLUGIN DIRECTORY: one script for each thing that the forms of
// Roundcube's managesieve plugin can ask for, written by the plugin itself.
require $argv[1] . '/lib/Roundcube/rcube_sieve_script.php';

$into = ['type' => 'fileinto', 'target' => 'Büro/"Über"'];
$tests = [
    ['test' => 'size', 'type' => 'over', 'arg' => '10K'],
    ['test' => 'spamtest', 'type' => 'value-ge', 'arg' => '5'],
    ['test' => 'true'],
    ['test' => 'true', 'not' => true],
    ['test' => 'exists', 'arg' => ['X-A', 'X-B']],
    ['test' => 'exists', 'mime-anychild' => true, 'arg' => 'X-A'],
    ['test' => 'header', 'type' => 'contains', 'arg1' => ['subject', 'x'], 'arg2' => ['a', 'b"\\']],
    ['test' => 'header', 'type' => 'regex', 'arg1' => 'subject', 'arg2' => '^a.*(b|c)$'],
    ['test' => 'header', 'type' => 'matches', 'arg1' => 'subject', 'arg2' => '*a?', 'index' => '2', 'last' => true],
    ['test' => 'header', 'type' => 'is', 'comparator' => 'i;octet', 'arg1' => 'subject', 'arg2' => 'A'],
    ['test' => 'header', 'type' => 'value-gt', 'comparator' => 'i;ascii-numeric', 'arg1' => 'x-n', 'arg2' => '3'],
    ['test' => 'header', 'type' => 'count-ge', 'arg1' => 'received', 'arg2' => '10'],
    ['test' => 'header', 'type' => 'contains', 'mime-anychild' => true, 'mime-type' => 'contenttype', 'arg1' => 'Content-Type', 'arg2' => 'text/html'],
    ['test' => 'header', 'type' => 'contains', 'mime-anychild' => true, 'mime-param' => ['filename'], 'arg1' => 'Content-Disposition', 'arg2' => '.exe'],
    ['test' => 'string', 'type' => 'is', 'arg1' => '${a}', 'arg2' => '1'],
    ['test' => 'address', 'type' => 'is', 'part' => 'domain', 'arg1' => 'from', 'arg2' => 'x.test'],
    ['test' => 'address', 'type' => 'is', 'part' => 'detail', 'arg1' => ['to', 'cc'], 'arg2' => 'x', 'index' => 1],
    ['test' => 'envelope', 'type' => 'is', 'part' => 'user', 'arg1' => 'to', 'arg2' => 'x'],
    ['test' => 'body', 'part' => 'text', 'type' => 'contains', 'arg' => 'x'],
    ['test' => 'body', 'part' => 'raw', 'type' => 'regex', 'arg' => 'x'],
    ['test' => 'body', 'part' => 'content', 'content' => 'text', 'type' => 'contains', 'arg' => 'x'],
    ['test' => 'date', 'originalzone' => true, 'type' => 'value-ge', 'header' => 'date', 'part' => 'iso8601', 'arg' => '2026-01-01T00:00:00Z'],
    ['test' => 'date', 'zone' => '+0200', 'type' => 'is', 'header' => 'received', 'index' => 1, 'last' => true, 'part' => 'weekday', 'arg' => ['0', '6']],
    ['test' => 'currentdate', 'type' => 'value-le', 'part' => 'iso8601', 'arg' => '2036-01-01T12:00:00+02:00'],
    ['test' => 'duplicate', 'header' => 'X-Id', 'handle' => 'h', 'seconds' => 3600, 'last' => true],
    ['test' => 'duplicate', 'uniqueid' => '${x}', 'not' => true],
];
$actions = [
    $into,
    ['type' => 'fileinto', 'copy' => true, 'target' => 'x'],
    ['type' => 'redirect', 'target' => 'a@b.test'],
    ['type' => 'redirect', 'copy' => true, 'target' => 'a@b.test'],
    ['type' => 'reject', 'target' => "no\r\nthanks"],
    ['type' => 'ereject', 'target' => 'no'],
    ['type' => 'addflag', 'target' => ['\\Seen', '$Label1', 'x']],
    ['type' => 'setflag', 'target' => '\\Flagged'],
    ['type' => 'removeflag', 'target' => ['\\Seen']],
    ['type' => 'addheader', 'name' => 'X-A', 'value' => 'b', 'last' => true],
    ['type' => 'deleteheader', 'name' => 'X-A', 'value' => ['b', 'c'], 'match-type' => 'contains', 'index' => 1, 'last' => true],
    ['type' => 'deleteheader', 'name' => 'X-A', 'value' => ''],
    ['type' => 'keep'],
    ['type' => 'discard'],
    ['type' => 'stop'],
    ['type' => 'set', 'name' => 'a', 'value' => '${subject}', 'lower' => true, 'quotewildcard' => true],
    ['type' => 'notify', 'method' => 'mailto:a@b.test', 'importance' => 1, 'from' => 'x@y.test', 'message' => 'hi', 'options' => ['a=b']],
    ['type' => 'notify', 'method' => 'mailto:a@b.test', 'options' => []],
    ['type' => 'vacation', 'days' => 3, 'addresses' => ['a@b.test'], 'subject' => 'ü', 'from' => 'x@y.test', 'reason' => "..a\r\n.\r\nb"],
    ['type' => 'vacation', 'seconds' => 3600, 'reason' => 'x', 'handle' => 'h'],
    ['type' => 'vacation', 'reason' => "Content-Type: text/plain\r\n\r\nx", 'mime' => true],
];

$rules = [['tests' => $tests, 'join' => false, 'actions' => [$into]]];
foreach ($tests as $test) {
    $rules[] = ['tests' => [$test], 'join' => true, 'actions' => [$into]];
    $rules[] = ['tests' => [$test], 'join' => true, 'actions' => [$into], 'disabled' => true];
}
foreach ($actions as $action) {
    $rules[] = ['tests' => [['test' => 'true']], 'join' => false, 'actions' => [$action]];
}
foreach ($rules as $n => $rule) {
    $script = new rcube_sieve_script('');
    $script->content = [$rule + ['name' => "rule\n$n", 'disabled' => false]];
    file_put_contents("$argv[2]/$n.sieve", $script->as_text());
}
