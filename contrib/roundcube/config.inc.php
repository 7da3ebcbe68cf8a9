<?php
// Roundcube for a vbox-lda site: what differs from its own defaults. Copy to
// /etc/roundcube/config.inc.php, or append to what the package wrote there.
//
// Dovecot (contrib/dovecot) serves the mailboxes and keeps the scripts, so
// Roundcube needs no account of its own and no line for a user: who can log in
// by IMAP can read mail, see his quota and edit his filters.

$config['imap_host'] = 'localhost:143';
$config['smtp_host'] = 'localhost:587';
// Users log in with the whole address.
$config['username_domain'] = '';
$config['login_lc'] = 2;

// managesieve: filters and vacation in the settings. Dovecot's ManageSieve
// writes %h/sieve and the link %h/.dovecot.sieve; vbox-deliver runs that.
$config['plugins'] = ['archive', 'zipdownload', 'managesieve'];
$config['managesieve_host'] = 'localhost:4190';
$config['managesieve_usetls'] = false;
$config['managesieve_vacation'] = 1;
$config['managesieve_forward'] = 1;
// A new user's first script; Roundcube itself makes an empty one.
$config['managesieve_script_name'] = 'roundcube';
// What vbox-lda does not run is not offered (vbox-sieve(7)); notify is mailto.
$config['managesieve_disabled_extensions'] = [];

// Dovecot tells the quota through IMAP; it is shown below the folders.
$config['quota_zero_as_unlimited'] = true;

// As Dovecot's configuration of contrib names them.
$config['drafts_mbox'] = 'Drafts';
$config['sent_mbox'] = 'Sent';
$config['trash_mbox'] = 'Trash';
$config['junk_mbox'] = 'Junk';
