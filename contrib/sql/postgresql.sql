-- vbox-lda's directory in PostgreSQL, version 1. vboxadm makes and upgrades it;
-- by hand: psql -1 -f postgresql.sql vbox
--
-- Delivery needs SELECT on vbox_schema, domains, aliases and on accounts
-- without its column password; Dovecot needs SELECT on logins.
--
-- Names are canonical: lower case, NFC, domains in ASCII (xn--). Lists
-- (catch_all, forward, targets) have commas between their addresses. NULL and
-- '' mean "as the configuration says"; a quota of 0 means none. `until` is in
-- seconds since 1970; when it has passed the state is active again.
-- `content` is a policy for attachments (vbox.conf(5), content_rules): rules with
-- semicolons between them, or none; a database that was made before there was
-- one gets the column from vboxadm.

CREATE TABLE vbox_schema (
	version INTEGER NOT NULL
);
INSERT INTO vbox_schema VALUES (1);

CREATE TABLE domains (
	name TEXT NOT NULL PRIMARY KEY,
	alias_of TEXT REFERENCES domains (name) ON UPDATE CASCADE
		DEFERRABLE INITIALLY DEFERRED,
	catch_all TEXT,
	format TEXT CHECK (format IN ('', 'mbox', 'maildir')),
	host TEXT,
	state TEXT NOT NULL DEFAULT 'active' CHECK (state IN
		('active', 'suspended', 'disabled', 'locked', 'forward-only')),
	reason TEXT,
	until BIGINT,
	quota_bytes BIGINT CHECK (quota_bytes >= 0),
	user_quota_bytes BIGINT CHECK (user_quota_bytes >= 0),
	user_quota_messages BIGINT CHECK (user_quota_messages >= 0)
);

CREATE TABLE accounts (
	local TEXT NOT NULL,
	domain TEXT NOT NULL REFERENCES domains (name) ON UPDATE CASCADE
		DEFERRABLE INITIALLY DEFERRED,
	password TEXT,
	home TEXT,
	format TEXT CHECK (format IN ('', 'mbox', 'maildir')),
	host TEXT,
	state TEXT NOT NULL DEFAULT 'active' CHECK (state IN
		('active', 'suspended', 'disabled', 'locked', 'forward-only')),
	reason TEXT,
	until BIGINT,
	quota_bytes BIGINT CHECK (quota_bytes >= 0),
	quota_messages BIGINT CHECK (quota_messages >= 0),
	forward TEXT,
	keep INTEGER NOT NULL DEFAULT 1 CHECK (keep IN (0, 1)),
	content TEXT,
	PRIMARY KEY (domain, local)
);

CREATE TABLE aliases (
	local TEXT NOT NULL,
	domain TEXT NOT NULL REFERENCES domains (name) ON UPDATE CASCADE
		DEFERRABLE INITIALLY DEFERRED,
	targets TEXT NOT NULL,
	PRIMARY KEY (domain, local)
);

-- The state that holds now, the domain's included.
CREATE VIEW account_states AS
SELECT a.local, a.domain,
	CASE
	WHEN d.state <> 'active' AND (coalesce(d.until, 0) = 0
		OR d.until > extract(epoch FROM now()))
	THEN CASE
		WHEN d.state IN ('disabled', 'locked') THEN d.state
		WHEN a.state <> 'active' AND (coalesce(a.until, 0) = 0
			OR a.until > extract(epoch FROM now()))
		THEN a.state
		ELSE d.state END
	WHEN a.state <> 'active' AND (coalesce(a.until, 0) = 0
		OR a.until > extract(epoch FROM now()))
	THEN a.state
	ELSE 'active' END AS state
FROM accounts a JOIN domains d ON d.name = a.domain;

-- The table of the 2007 paper, for its sites' queries, and a little more.
CREATE VIEW users AS
SELECT a.local || '@' || a.domain AS username, a.password AS password,
	a.local AS userpart, a.domain AS domain, a.forward AS forward,
	CAST(NULL AS TEXT) AS alias_for, a.home AS home, s.state AS state
FROM accounts a JOIN account_states s
	ON s.domain = a.domain AND s.local = a.local
UNION ALL
SELECT local || '@' || domain, NULL, local, domain, NULL, targets, NULL,
	'active'
FROM aliases;

-- For contrib/dovecot: who may log in, and whether he sees a notice instead
-- of his mail.
CREATE VIEW logins AS
SELECT a.local || '@' || a.domain AS username, a.local AS userpart,
	a.domain AS domain, a.password AS password, a.home AS home,
	coalesce(nullif(a.format, ''), nullif(d.format, '')) AS format,
	s.state AS state, s.state = 'suspended' AS suspended,
	coalesce(a.quota_bytes, d.user_quota_bytes) AS quota_bytes,
	coalesce(a.quota_messages, d.user_quota_messages) AS quota_messages
FROM accounts a
JOIN domains d ON d.name = a.domain
JOIN account_states s ON s.domain = a.domain AND s.local = a.local
WHERE a.password IS NOT NULL AND a.password <> ''
	AND s.state <> 'disabled';
