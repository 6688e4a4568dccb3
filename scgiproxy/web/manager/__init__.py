"""``SetHandler balancer-manager``: the balancers to look at, live, and to change.

`snapshot` takes the state at one moment. `cells` puts it into words, which `page` and `events` show;
`document` and `apachexml` tell it to programs. `resource` answers requests; what they may change
goes through `protection` and `editing`.
"""
